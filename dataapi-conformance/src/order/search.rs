//! Searches for an order of the calls of a history that explains every answer (Wing and Gong, with Lowe's memory of
//! what was tried).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt::Write as _;

use super::call::Answer;
use super::history::Operation;
use super::model::State;

/// How many orders to try. The histories of [`Plan`](super::Plan) need some hundreds.
const MOST: usize = 200_000;

/// Checks that calls on a group with this many dialogs behaved as if they ran one after the other, each between its
/// start and its end. A call with an unknown outcome ran at any time after its start, or never.
///
/// Returns how many operations have a known answer.
///
/// # Errors
/// Describes the longest order that explains the answers in it, and the calls that do not fit after it. Also if there
/// are too many possible orders to try them all.
pub fn check(history: &[Operation], dialogs: u8) -> Result<usize, String> {
    // Nobody knows what an unanswered read would have returned.
    let counts =
        |operation: &&Operation| operation.answer != Answer::Unknown || operation.call.writes();
    let mut calls: Vec<_> = history.iter().filter(counts).collect();
    calls.sort_by_key(|operation| operation.start);
    let known = calls.iter().filter(|operation| operation.answer != Answer::Unknown).count();

    let mut tried = HashSet::new();
    let mut waiting =
        vec![Order { placed: vec![false; calls.len()], left: known, state: State::new(dialogs) }];
    let mut longest: Option<Order> = None;
    while let Some(mut order) = waiting.pop() {
        order.place_what_changes_nothing(&calls);
        if order.left == 0 {
            return Ok(known);
        }
        if tried.len() >= MOST {
            return Err(format!(
                "more than {MOST} orders are possible:\n{}",
                listed(&calls, &order)
            ));
        }
        if !tried.insert((order.placed.clone(), order.state.clone())) {
            continue;
        }
        // The last one is tried first. A call without an answer is tried where nothing else fits any more: only there is
        // it certain that it happened, and there are many other places for it.
        let mut next = order.next(&calls);
        next.sort_by_key(|at| (calls[*at].answer != Answer::Unknown, Reverse(*at)));
        for at in next {
            let (call, answer) = (&calls[at].call, &calls[at].answer);
            let Some(state) = order.state.after(call, answer) else { continue };
            let is_known = *answer != Answer::Unknown;
            if !is_known && state == order.state {
                continue;
            }
            let mut placed = order.placed.clone();
            placed[at] = true;
            waiting.push(Order { placed, left: order.left - usize::from(is_known), state });
        }
        if longest.as_ref().is_none_or(|longest| longest.left > order.left) {
            longest = Some(order);
        }
    }
    Err(longest.map_or_else(String::new, |longest| listed(&calls, &longest)))
}

/// The calls that were placed, and the state after them.
struct Order {
    placed: Vec<bool>,
    /// How many calls with an answer were not placed yet.
    left: usize,
    state: State,
}

impl Order {
    /// Returns the calls that can be next: those that no other call precedes.
    fn next(&self, calls: &[&Operation]) -> Vec<usize> {
        let free = || (0..calls.len()).filter(|at| !self.placed[*at]);
        let first_end = free().map(|at| calls[at].end).min().unwrap_or(u64::MAX);
        free().filter(|at| calls[*at].start < first_end).collect()
    }

    /// Places each call that can be next and changes nothing: if there is an order with it at a later place, there is
    /// one with it here.
    fn place_what_changes_nothing(&mut self, calls: &[&Operation]) {
        loop {
            let changes_nothing = |at: &usize| {
                let Operation { call, answer, .. } = calls[*at];
                *answer != Answer::Unknown
                    && self.state.after(call, answer).is_some_and(|state| state == self.state)
            };
            let found: Vec<_> = self.next(calls).into_iter().filter(changes_nothing).collect();
            if found.is_empty() {
                return;
            }
            self.left -= found.len();
            for at in found {
                self.placed[at] = true;
            }
        }
    }
}

fn listed(calls: &[&Operation], order: &Order) -> String {
    let mut list =
        String::from("calls that can be ordered have a +, those that could be next a ?:");
    let next = order.next(calls);
    for (at, operation) in calls.iter().enumerate() {
        let sign = if order.placed[at] {
            '+'
        } else if next.contains(&at) {
            '?'
        } else {
            ' '
        };
        // Writing to a string never fails.
        let _ = write!(list, "\n{sign} {operation}");
    }
    let _ = write!(list, "\nafter the calls with a + the dialogs are:\n{:#?}", order.state);
    list
}
