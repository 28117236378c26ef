//! What the checker makes of calls without an answer, and of calls that are told less than others before them.

use dataapi_conformance::order::{Answer, Call, Operation, Plan, Recorded, Refusal, check};
use dataapi_core::{ChainHead, ConsentState, Date, Decision, DialogRef, EventKind};

const NOT_FOUND: Answer = Answer::Refused(Refusal::NotFound);
const INSERT: Call = Call::Insert { customer: 0, dialog: 0, text: 0 };
const STATUS: Call = Call::Status { dialog: 0 };

fn date() -> Date {
    "2026-03-01T10:00:00Z".parse().expect("a date")
}

fn pending() -> Answer {
    Answer::Status { state: ConsentState::Pending, date: date() }
}

/// Returns calls that come one after the other, except that those without an answer go on for ever.
fn one_by_one(calls: &[(Call, Answer)]) -> Vec<Operation> {
    let operation = |(number, (call, answer)): (u64, &(Call, Answer))| {
        let end = if *answer == Answer::Unknown { u64::MAX } else { 2 * number + 1 };
        let (call, answer) = (call.clone(), answer.clone());
        Operation { client: 0, call, answer, start: 2 * number, end }
    };
    (0..).zip(calls).map(operation).collect()
}

fn checked(calls: &[(Call, Answer)]) -> Result<usize, String> {
    check(&one_by_one(calls), Plan::DIALOGS)
}

#[test]
fn a_call_without_an_answer_happened_then_or_later_or_never() {
    let lost = (INSERT, Answer::Unknown);
    assert_eq!(checked(&[lost.clone(), (STATUS, NOT_FOUND)]), Ok(1));
    assert_eq!(checked(&[lost.clone(), (STATUS, pending())]), Ok(1));
    assert_eq!(checked(&[lost.clone(), (STATUS, NOT_FOUND), (STATUS, pending())]), Ok(2));
    let undone = checked(&[lost, (STATUS, pending()), (STATUS, NOT_FOUND)]);
    assert!(undone.expect_err("it came undone").contains("? [   4,    5]"));
    let never = checked(&[(STATUS, pending()), (INSERT, Answer::Unknown)]);
    assert!(never.is_err(), "it was seen before it was called");
}

#[test]
fn of_calls_at_the_same_time_any_can_be_first_but_not_a_later_one() {
    let received = Answer::Received { date: date(), consented: false };
    let mut calls = one_by_one(&[(INSERT, received), (STATUS, NOT_FOUND)]);
    assert!(check(&calls, Plan::DIALOGS).is_err(), "the second call is told less");
    calls[0].end = 3;
    calls[1].end = 2;
    calls[1].start = 1;
    assert_eq!(check(&calls, Plan::DIALOGS), Ok(2));
}

#[test]
fn a_receipt_is_of_the_decision_that_came_first() {
    let received = Answer::Received { date: date(), consented: false };
    let decide =
        |notice| Call::Decide { dialog: 0, decision: Decision::Granted, early: false, notice };
    let event = |notice| {
        let reference = DialogRef::from_bytes([0; 32]);
        let evidence = Call::evidence(notice);
        let event = ChainHead::EMPTY.next(reference, EventKind::Granted, date(), evidence);
        Answer::Recorded(Recorded::try_from(&event).expect("its notice is a number"))
    };
    let insert = (INSERT, received);
    let first = (decide(1), event(1));
    assert_eq!(checked(&[insert.clone(), first.clone(), (decide(2), event(1))]), Ok(3));
    assert!(checked(&[insert.clone(), first, (decide(2), event(2))]).is_err());
    assert_eq!(checked(&[insert, (decide(1), Answer::Unknown), (decide(2), event(1))]), Ok(2));
}

#[test]
fn many_calls_without_an_answer_do_not_take_for_ever() {
    let mut calls = Vec::new();
    for round in 0..4 {
        for dialog in 0..Plan::DIALOGS {
            calls.push((Call::Insert { customer: 0, dialog, text: round % 2 }, Answer::Unknown));
        }
        let shown = Answer::Page { items: Vec::new(), total: 0, has_next: false };
        calls.push((Call::Page { customer: None, limit: 10 }, shown));
        calls.push((Call::Status { dialog: round }, pending()));
    }
    assert_eq!(checked(&calls), Ok(8));
}
