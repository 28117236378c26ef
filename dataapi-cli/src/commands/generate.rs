//! `dataapi generate`: made-up dialogs, the same for the same seed.

use dataapi::{ImportedDialog, Invalid, NewDialog};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::intake::{BATCH, Intake};
use crate::interrupt::Interrupt;
use crate::phrases::{LANGUAGES, Phrases};
use crate::progress::Progress;

pub(super) async fn run(args: args::Generate, context: &Context) -> Result<Exit, CommandError> {
    let plan = Plan::try_from(args)?;
    let store = context.open_or_create().await?;
    let interrupt = Interrupt::watch(context)?;
    let mut progress = Progress::counting(context, "dialogs made", plan.dialogs);
    let mut intake = Intake::new(&*store, interrupt.clone());

    let mut done = 0;
    let mut end = Ok(Exit::Done);
    while done < plan.dialogs {
        if interrupt.is_requested() {
            end = Ok(Exit::Interrupted);
            break;
        }
        let next = plan.dialogs.min(done + BATCH as u64);
        let batch = (done..next).map(|n| plan.dialog(n)).collect::<Result<_, _>>()?;
        if let Err(error) = intake.take(batch).await {
            end = if interrupt.is_requested() { Ok(Exit::Interrupted) } else { Err(error.into()) };
            break;
        }
        progress.done(next - done);
        done = next;
    }
    progress.finish();

    let tally = intake.tally();
    context.note(&tally.to_string());
    match end {
        Ok(Exit::Done) if tally.refused() > 0 => Ok(Exit::SomeRefused),
        end => end,
    }
}

/// What is to be made.
#[derive(Debug)]
struct Plan {
    users: u64,
    dialogs: u64,
    consented: u64,
    seed: u64,
}

impl TryFrom<args::Generate> for Plan {
    type Error = Invalid;

    fn try_from(typed: args::Generate) -> Result<Self, Invalid> {
        let args::Generate { users, dialogs, consented, seed } = typed;
        let consented = consented.unwrap_or(dialogs / 2);
        if consented > dialogs {
            return Err(Invalid::new("--consented", "must not be more than --dialogs"));
        }
        if users == 0 && dialogs > 0 {
            return Err(Invalid::new("--users", "must be at least 1"));
        }
        Ok(Self { users, dialogs, consented, seed })
    }
}

/// Marks the streams of chance that customers are made of, apart from those of dialogs.
const CUSTOMERS: u64 = 1 << 63;

impl Plan {
    /// Dialog `n`, which does not depend on how many are made. It does on the number of customers,
    /// and so does its id.
    fn dialog(&self, n: u64) -> Result<ImportedDialog, Invalid> {
        let mut chance = Chance::of([self.seed, self.users], n);
        let dialog_id = format!("d-{:016x}", chance.number());
        // Each customer has a dialog before one has two.
        let user = if n < self.users { n } else { chance.below(self.users) };
        let customer = Customer::of(self.seed, user);
        let text = talk(&customer, &mut chance);
        let dialog = NewDialog::parse(&customer.id, &dialog_id, customer.phrases.language, &text)?;
        Ok(ImportedDialog { dialog, date: None, consented: n < self.consented })
    }
}

struct Customer {
    id: String,
    name: &'static str,
    phrases: &'static Phrases,
}

impl Customer {
    fn of(seed: u64, user: u64) -> Self {
        let mut chance = Chance::of([seed, 0], CUSTOMERS | user);
        let phrases = chance.pick(LANGUAGES);
        let id = format!("c-{:016x}", chance.number());
        Self { id, name: *chance.pick(phrases.names), phrases }
    }
}

fn talk(customer: &Customer, chance: &mut Chance) -> String {
    let phrases = customer.phrases;
    let [client, bot] = phrases.speakers;
    let mut turns = vec![(bot, *chance.pick(phrases.greetings))];
    let talk = chance.pick(phrases.talks);
    turns.extend([client, bot].into_iter().cycle().zip(talk.iter().copied()));
    let [thanks, farewell] = *chance.pick(phrases.endings);
    turns.extend([(client, thanks), (bot, farewell)]);

    let mut subject = Subject::of(customer, chance);
    let turns = turns.into_iter().map(|(speaker, turn)| {
        let turn = subject.fill(turn);
        format!("{speaker}: {turn}")
    });
    turns.collect::<Vec<_>>().join("\n")
}

/// What a dialog is about.
struct Subject {
    name: &'static str,
    number: String,
    time: String,
    amount: String,
    date: &'static str,
    month: String,
    day: u64,
}

impl Subject {
    fn of(customer: &Customer, chance: &mut Chance) -> Self {
        let Customer { name, phrases, .. } = customer;
        let (whole, cents) = (5 + chance.below(195), 5 * chance.below(20));
        let amount = phrases.amount.replace("{whole}", &whole.to_string());
        Self {
            name,
            number: (100_000 + chance.below(900_000)).to_string(),
            time: format!("{}:{:02}", 8 + chance.below(11), 15 * chance.below(4)),
            amount: amount.replace("{cents}", &format!("{cents:02}")),
            date: phrases.date,
            month: (1 + chance.below(12)).to_string(),
            day: 1 + chance.below(20),
        }
    }

    /// Fills the slots of `turn`; each turn that names a date names a later one.
    fn fill(&mut self, turn: &str) -> String {
        if turn.contains("{date}") {
            self.day += 2;
        }
        turn.replace("{name}", self.name)
            .replace("{number}", &self.number)
            .replace("{time}", &self.time)
            .replace("{amount}", &self.amount)
            .replace("{date}", self.date)
            .replace("{day}", &self.day.to_string())
            .replace("{month}", &self.month)
    }
}

/// Chance that is the same on every machine.
struct Chance(ChaCha8Rng);

impl Chance {
    fn of(seeds: [u64; 2], stream: u64) -> Self {
        // Not `seed_from_u64`, which other versions of the library may spread differently.
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seeds[0].to_le_bytes());
        bytes[8..16].copy_from_slice(&seeds[1].to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        rng.set_stream(stream);
        Self(rng)
    }

    fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, even enough for a story.
    fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    fn pick<T>(&mut self, from: &'static [T]) -> &'static T {
        // No list of phrases is empty.
        &from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_depends_on_nothing_but_the_seed_the_customers_and_its_number() -> Result<(), Invalid>
    {
        let plan = |dialogs, seed| Plan { users: 3, dialogs, consented: dialogs, seed };
        assert_eq!(plan(10, 7).dialog(9)?, plan(20, 7).dialog(9)?);
        assert_ne!(plan(10, 7).dialog(9)?, plan(10, 8).dialog(9)?);
        let id = |users| Plan { users, ..plan(10, 7) }.dialog(9).map(|made| made.dialog.dialog_id);
        assert_ne!(id(3)?, id(4)?, "another dialog has another id");
        Ok(())
    }

    #[test]
    fn every_slot_is_filled_in_every_language() {
        for phrases in LANGUAGES {
            let customer = Customer { id: "c".to_owned(), name: "N", phrases };
            for stream in 0..100 {
                let text = talk(&customer, &mut Chance::of([1, 0], stream));
                assert!(!text.contains(['{', '}']), "{text}");
                assert!(phrases.language.parse::<dataapi::Language>().is_ok());
            }
        }
    }
}
