//! Random calls for the clients of one history.

use dataapi_core::Decision;

use super::call::{Call, Group};

/// What the clients of one history will do: few dialogs, and all clients at work on the same ones.
#[derive(Debug)]
pub struct Plan {
    /// The names of its customers and dialogs.
    pub group: Group,
    /// The calls of each client, in order.
    pub clients: Vec<Vec<Call>>,
    /// Calls for the end: they show everything.
    pub last: Vec<Call>,
}

/// What the store under test can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Whether every decision is one that can come before its dialog. If not, none is.
    pub early: bool,
    /// Whether several dialogs can be imported in one commit.
    pub imports: bool,
}

impl Plan {
    /// How many dialogs a group has.
    pub const DIALOGS: u8 = 5;

    /// How many customers share them.
    pub const CUSTOMERS: u8 = 2;

    /// How many clients are at work at once.
    pub const CLIENTS: usize = 4;

    /// How many calls each makes.
    const CALLS: u8 = 12;

    /// Makes a plan for the group with this number. The same seed makes the same plans.
    pub fn random(seed: u64, number: u64, can: Abilities) -> Self {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut notices = 0;
        let mut call = |step: u8| random_call(&mut dice, step, can, &mut notices);
        let clients =
            (0..Self::CLIENTS).map(|_| (0..Self::CALLS).map(&mut call).collect()).collect();
        let mut last: Vec<_> = (0..Self::DIALOGS)
            .flat_map(|dialog| [Call::Status { dialog }, Call::Receipt { dialog }])
            .collect();
        last.push(Call::Page { customer: None, limit: u8::MAX });
        for customer in 0..Self::CUSTOMERS {
            last.push(Call::Subject { customer, limit: u8::MAX });
        }
        Self { group: Group::new(number), clients, last }
    }

    /// After how many turns a client stops waiting for this call of it; `None` for most calls. They are other calls in
    /// each history, and few: each call that may happen at any later time doubles the possible orders.
    pub(super) fn gives_up_after(&self, client: usize, call: usize) -> Option<usize> {
        let place = self.group.number() * 5 + (client * 7 + call * 3) as u64;
        place.is_multiple_of(13).then_some(call % 3)
    }
}

/// A call on one of the dialogs that clients are at by this step.
fn random_call(dice: &mut Dice, step: u8, can: Abilities, notices: &mut u32) -> Call {
    let nearest = step * Plan::DIALOGS / Plan::CALLS;
    let dialog = (nearest + dice.below(2)).min(Plan::DIALOGS - 1);
    // Most callers know whose dialog it is.
    let customer = (dialog + u8::from(dice.below(6) == 0)) % Plan::CUSTOMERS;
    let text = u8::from(dice.below(5) == 0);
    let limit = if dice.below(3) == 0 { 1 + dice.below(2) } else { 100 };
    let mut decide = |decision| {
        *notices += 1;
        Call::Decide { dialog, decision, early: can.early, notice: *notices }
    };
    match dice.below(100) {
        0..25 => Call::Insert { customer, dialog, text },
        25..44 => decide(Decision::Granted),
        44..52 => decide(Decision::Withdrawn),
        52..57 => Call::Status { dialog },
        57..62 => Call::Receipt { dialog },
        62..70 => Call::Read { customer, dialog },
        70..78 => Call::Page { customer: None, limit },
        78..84 => Call::Page { customer: Some(customer), limit },
        84..90 => Call::Subject { customer, limit },
        90..93 => Call::EraseDialog { customer, dialog },
        93..96 => Call::EraseCustomer { customer },
        _ if can.imports => {
            let dialogs = vec![dialog, (dialog + 1) % Plan::DIALOGS, (dialog + 2) % Plan::DIALOGS];
            Call::Import { customer, text, dialogs, consented: dice.below(2) == 0 }
        }
        _ => Call::Insert { customer, dialog, text },
    }
}

/// Random numbers that a seed repeats (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).unwrap_or_default()
    }
}
