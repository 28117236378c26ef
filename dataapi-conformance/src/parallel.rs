//! Many concurrent calls on one borrowed store, on several threads.

use std::panic::resume_unwind;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// How many threads run the tasks.
const THREADS: usize = 4;

/// Runs all tasks to their end on a few threads that start together. Returns their results in the order of the tasks.
///
/// Calls of a store in memory never wait, so on one thread they would run one after the other. A task with a loop
/// should yield, so that the other tasks of its thread get a turn.
pub(crate) fn at_once<'a, T: Send>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'a>,
) -> Vec<T> {
    let mut hands: [Vec<BoxFuture<'a, (usize, T)>>; THREADS] = Default::default();
    for (number, task) in tasks.into_iter().enumerate() {
        hands[number % THREADS].push(task.map(move |value| (number, value)).boxed());
    }
    let runtime = Handle::current();
    let mut done = block_in_place(|| {
        std::thread::scope(|scope| {
            let threads = hands.map(|hand| {
                let runtime = runtime.clone();
                scope.spawn(move || runtime.block_on(join_all(hand)))
            });
            let mut done = Vec::new();
            for thread in threads {
                // Passes the message of a broken promise on.
                done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            done
        })
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, value)| value).collect()
}
