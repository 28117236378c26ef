//! `dataapi generate`: generates dialogs, the same ones for the same seed.

mod phrases;
mod seeded_chance;
mod talk;

use dataapi::{ImportedDialog, Invalid, NewDialog};
use seeded_chance::SeededChance;
use talk::{MadeUpCustomer, talk};

use super::import::{BATCH_DIALOGS, BatchImporter};
use crate::args::GenerateArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::WorkProgress;

pub(super) async fn run(args: &GenerateArgs, context: &Context) -> Result<Exit, CommandError> {
    let plan = GeneratePlan::resolve(args)?;
    let store = context.open_or_create().await?;
    let interrupt = Interrupt::watch(context)?;
    let mut progress = WorkProgress::counting(context.quiet, "dialogs made", plan.dialogs);
    let mut importer = BatchImporter::new(&*store, interrupt.clone());

    let mut done = 0;
    let mut end = Ok(Exit::Done);
    while done < plan.dialogs {
        if interrupt.is_requested() {
            end = Ok(Exit::Interrupted);
            break;
        }
        let next = plan.dialogs.min(done + BATCH_DIALOGS as u64);
        let batch = (done..next).map(|n| plan.dialog(n)).collect::<Result<_, _>>()?;
        if let Err(error) = importer.take(batch).await {
            end = if interrupt.is_requested() { Ok(Exit::Interrupted) } else { Err(error.into()) };
            break;
        }
        progress.done(next - done);
        done = next;
    }
    progress.finish();

    let counts = importer.counts();
    context.note(&counts.to_string());
    match end {
        Ok(Exit::Done) if counts.refused() > 0 => Ok(Exit::SomeRefused),
        end => end,
    }
}

/// What to generate.
#[derive(Debug)]
struct GeneratePlan {
    users: u64,
    dialogs: u64,
    consented: u64,
    seed: u64,
}

impl GeneratePlan {
    fn resolve(args: &GenerateArgs) -> Result<Self, Invalid> {
        let GenerateArgs { users, dialogs, consented, seed } = *args;
        let consented = consented.unwrap_or(dialogs / 2);
        if consented > dialogs {
            return Err(Invalid::new("--consented", "must be at most the value of --dialogs"));
        }
        if users == 0 && dialogs > 0 {
            return Err(Invalid::new("--users", "must be at least 1"));
        }
        Ok(Self { users, dialogs, consented, seed })
    }

    /// Dialog `n`. The dialog and its id depend on the seed and on the number of customers, but not on the number
    /// of dialogs.
    fn dialog(&self, n: u64) -> Result<ImportedDialog, Invalid> {
        let mut chance = SeededChance::of([self.seed, self.users], n);
        let dialog_id = format!("d-{:016x}", chance.number());
        // Each customer gets one dialog before any gets a second.
        let user = if n < self.users { n } else { chance.below(self.users) };
        let customer = MadeUpCustomer::of(self.seed, user);
        let text = talk(&customer, &mut chance);
        let dialog = NewDialog::parse(&customer.id, &dialog_id, customer.phrases.language, &text)?;
        Ok(ImportedDialog { dialog, date: None, consented: n < self.consented })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_depends_on_nothing_but_the_seed_the_customers_and_its_number() -> Result<(), Invalid>
    {
        let plan = |dialogs, seed| GeneratePlan { users: 3, dialogs, consented: dialogs, seed };
        assert_eq!(plan(10, 7).dialog(9)?, plan(20, 7).dialog(9)?);
        assert_ne!(plan(10, 7).dialog(9)?, plan(10, 8).dialog(9)?);
        let id = |users| {
            GeneratePlan { users, ..plan(10, 7) }.dialog(9).map(|made| made.dialog.dialog_id)
        };
        assert_ne!(id(3)?, id(4)?, "another dialog has another id");
        Ok(())
    }
}
