#![allow(clippy::unwrap_used)]
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::{clock, queue, thread};

pub(super) fn in_world<T>(seed: u64, work: impl AsyncFnOnce(&Rc<World>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(seed);
        let _entered = enter(&world);
        work(&world).await
    })
}

/// Three threads that each write down their number three times, with a pause before each.
fn history(seed: u64) -> (Vec<u8>, Duration) {
    in_world(seed, async |world| {
        let machine = world.add_machine("one", Disk::default());
        let written = Arc::new(Mutex::new(Vec::new()));
        for number in 0..3 {
            let written = Arc::clone(&written);
            let work = move || {
                for _ in 0..3 {
                    clock::sleep(Duration::from_secs(1));
                    written.lock().unwrap().push(number);
                }
            };
            world.start(machine, "p", Box::new(work));
        }
        world.run(|| false).await;
        (std::mem::take(&mut *written.lock().unwrap()), world.elapsed())
    })
}

#[test]
fn a_seed_gives_one_history_and_another_seed_another() {
    assert_eq!(history(1).0, history(1).0);
    assert!((2..20).any(|seed| history(seed).0 != history(1).0));
    assert_eq!(history(1).0.len(), 9);
}

#[test]
fn threads_queues_and_futures_wait_for_each_other() {
    in_world(3, async |world| {
        let machine = world.add_machine("one", Disk::default());
        let result = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&result);
        let main = move || {
            let (sender, receiver) = queue::bounded(1);
            let thread = thread::spawn("t", move || {
                let sum: u32 = std::iter::from_fn(|| receiver.recv().ok()).sum();
                block_on(tokio::time::sleep(Duration::from_secs(5)));
                sum
            });
            (0..10).for_each(|number| sender.send(number).unwrap());
            drop(sender);
            let began = clock::now();
            let late = block_on(tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()));
            theirs.lock().unwrap().replace((late.is_err(), thread.unwrap().join(), clock::now() - began));
        };
        let id = world.start(machine, "p", Box::new(main));
        assert!(world.run(|| !world.is_alive(id)).await);
        assert_eq!(result.lock().unwrap().take(), Some((true, Some(45), Duration::from_secs(5))));
    });
}

#[test]
fn a_killed_process_closes_its_connections_and_a_crashed_machine_is_silent() {
    for crash in [false, true] {
        in_world(4, async |world| {
            let (one, two) =
                (world.add_machine("one", Disk::default()), world.add_machine("two", Disk::default()));
            let heard = Arc::new(Mutex::new(Vec::new()));
            let (mut to, mut from) = world.look(one, || wire(one, two, Duration::from_millis(10)));
            let talker = world.start(
                one,
                "talker",
                Box::new(move || {
                    to.write_all(b"hello").unwrap();
                    clock::sleep(Duration::from_secs(1000));
                }),
            );
            let theirs = Arc::clone(&heard);
            let listener = world.start(
                two,
                "listener",
                Box::new(move || {
                    let mut bytes = [0; 5];
                    from.read_exact(&mut bytes).unwrap();
                    theirs.lock().unwrap().push(format!("{bytes:?}"));
                    let end = from.read(&mut bytes);
                    theirs.lock().unwrap().push(format!("{end:?}"));
                }),
            );
            world.run(|| heard.lock().unwrap().len() == 1).await;
            if crash {
                world.crash(one);
            } else {
                world.kill(talker);
            }
            assert_eq!(world.run(|| !world.is_alive(listener)).await, !crash);
            assert_eq!(heard.lock().unwrap().len(), if crash { 1 } else { 2 });
        });
    }
}
