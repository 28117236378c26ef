//! The conversation of a generated customer with a bot.

use super::phrases::{LANGUAGES, Phrases};
use super::seeded_chance::SeededChance;

/// Separates the random streams of customers from those of dialogs.
const CUSTOMERS: u64 = 1 << 63;

/// A generated customer, with the phrases of one language.
pub(super) struct MadeUpCustomer {
    pub(super) id: String,
    name: &'static str,
    pub(super) phrases: &'static Phrases,
}

impl MadeUpCustomer {
    pub(super) fn of(seed: u64, user: u64) -> Self {
        let mut chance = SeededChance::of([seed, 0], CUSTOMERS | user);
        let phrases = chance.pick(LANGUAGES);
        let id = format!("c-{:016x}", chance.number());
        Self { id, name: *chance.pick(phrases.names), phrases }
    }
}

/// Generates the text of a dialog with `customer`.
pub(super) fn talk(customer: &MadeUpCustomer, chance: &mut SeededChance) -> String {
    let phrases = customer.phrases;
    let [client, bot] = phrases.speakers;
    let mut turns = vec![(bot, *chance.pick(phrases.greetings))];
    let talk = chance.pick(phrases.talks);
    turns.extend([client, bot].into_iter().cycle().zip(talk.iter().copied()));
    let [thanks, farewell] = *chance.pick(phrases.endings);
    turns.extend([(client, thanks), (bot, farewell)]);

    let mut details = TalkDetails::of(customer, chance);
    let turns = turns.into_iter().map(|(speaker, turn)| {
        let turn = details.fill(turn);
        format!("{speaker}: {turn}")
    });
    turns.collect::<Vec<_>>().join("\n")
}

/// The details of a dialog, which fill the slots of its phrases.
struct TalkDetails {
    name: &'static str,
    number: String,
    time: String,
    amount: String,
    date: &'static str,
    month: String,
    day: u64,
}

impl TalkDetails {
    fn of(customer: &MadeUpCustomer, chance: &mut SeededChance) -> Self {
        let MadeUpCustomer { name, phrases, .. } = customer;
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

    /// Fills the slots of `turn`. Each turn with a date gets a later date than the turn before.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_filled_in_every_language() {
        for phrases in LANGUAGES {
            let customer = MadeUpCustomer { id: "c".to_owned(), name: "N", phrases };
            for stream in 0..100 {
                let text = talk(&customer, &mut SeededChance::of([1, 0], stream));
                assert!(!text.contains(['{', '}']), "{text}");
                assert!(phrases.language.parse::<dataapi::Language>().is_ok());
            }
        }
    }
}
