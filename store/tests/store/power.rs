//! Power cuts before every step of a store's work, on a simulated disk: what was said to be stored is there.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use batou_store::{ArtifactId, Durability, Generations, ObjectId, ObjectKind, Silent, Store};
use batou_system::fs;
use batou_system::simulation::{Disk, Ruling, World, enter};

use crate::common::{add, name, stored};

/// How many power cuts there are before each step, each with other luck.
const FEW: u64 = 5;
/// The same where there are few steps.
const MANY: u64 = 50;
const TARGET: &str = "/srv/target";

/// What the host has told its user.
#[derive(Clone, Debug, Default)]
struct Told {
    stored: Vec<ArtifactId>,
    /// Before this generation is switched to, and after.
    switching: u64,
    switched: u64,
}

type Shared = Arc<Mutex<Told>>;

/// Does the work on a machine whose power is cut before step `cut` of those that change something, and looks at what is
/// left; returns how many such steps there were.
fn with_cut(cut: u64, seed: u64, work: fn(&Shared), look: fn(&Told)) -> (u64, String) {
    disturbed(
        seed,
        |_| (),
        work,
        look,
        move |changing, _, _| {
            if changing == Some(cut) { Ruling::Crash } else { Ruling::Go }
        },
    )
}

/// Does the work after some quiet `preparation`. `judge` is told of each step which it is, of those that change something
/// and of all, and what it is about.
fn disturbed(
    seed: u64,
    preparation: fn(&Shared),
    work: fn(&Shared),
    look: fn(&Told),
    judge: impl Fn(Option<u64>, u64, &Path) -> Ruling + 'static,
) -> (u64, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(seed);
        let _entered = enter(&world);
        world.start_trace();
        let machine = world.add_machine("host", Disk::default());
        world.look(machine, || fs::create_dir_all(TARGET).unwrap());
        world.look(machine, || fs::File::open("/").unwrap().sync_filesystem().unwrap());
        let (steps, all) = (Rc::new(Cell::new(0)), Cell::new(0));
        let counted = Rc::clone(&steps);
        let told = Shared::default();
        world.look(machine, || preparation(&told));
        world.judged_by(Box::new(move |_, _, _, step| {
            all.set(all.get() + 1);
            counted.set(counted.get() + u64::from(step.changes));
            judge(step.changes.then_some(counted.get()), all.get(), step.path)
        }));
        let theirs = Arc::clone(&told);
        let process = world.start(machine, "host", Box::new(move || work(&theirs)));
        assert!(world.run(|| !world.is_alive(process)).await);
        let told = told.lock().unwrap().clone();
        let looked = std::panic::catch_unwind(AssertUnwindSafe(|| world.look(machine, || look(&told))));
        assert!(looked.is_ok(), "with seed {seed}: {told:?}\n{}", world.trace());
        (steps.get(), world.trace())
    })
}

/// Cuts the power before every step in turn.
fn with_every_cut(cuts: u64, work: fn(&Shared), look: fn(&Told)) {
    let (steps, _) = with_cut(u64::MAX, 0, work, look);
    for cut in 1..=steps {
        for seed in 0..cuts {
            with_cut(cut, seed, work, look);
        }
    }
    println!("{steps} steps, {} power cuts", steps * cuts);
}

fn open() -> Store {
    Store::open(&Path::new(TARGET).join("store"), Durability::Host).unwrap()
}

/// What was stored is whole, and all else is either whole or not there.
fn is_whole(told: &Told) {
    let store = open();
    for id in &told.stored {
        assert!(store.contains(&ObjectId::Artifact(*id)).unwrap(), "{id} is gone");
        assert_eq!(store.verify_artifacts(&[*id]).unwrap(), [], "{id}");
    }
    assert_eq!(store.verify(&Silent).unwrap(), []);
}

/// An error of a moment says nothing of what is there.
#[test]
fn nothing_is_lost_by_an_error_at_any_step_of_mending_and_collecting() {
    for error in [5, 12, 13, 28] {
        nothing_is_lost_by(error);
    }
}

/// `error` is the number of what each step in turn fails with.
fn nothing_is_lost_by(error: i32) {
    let mut step = 0;
    loop {
        step += 1;
        let met = Rc::new(Cell::new(false));
        let told = Rc::clone(&met);
        let judge = move |_: Option<u64>, all, _: &Path| {
            told.set(told.get() || all == step);
            if all == step { Ruling::Fail(error) } else { Ruling::Go }
        };
        let work = |told: &Shared| {
            let kept = told.lock().unwrap().stored.clone();
            let opened = Store::mend_and_open(&Path::new(TARGET).join("store"), Durability::Host);
            // Whatever fails is told, and is not what this is about.
            let _ = opened.and_then(|(store, _)| store.gc(&kept, &Silent));
        };
        let prepare = |told: &Shared| {
            let store = open();
            let kept = stored(&store, "kept", "1", &[]);
            stored(&store, "dropped", "2", &[]);
            told.lock().unwrap().stored.push(kept);
        };
        disturbed(step, prepare, work, is_whole, judge);
        if !met.get() {
            break;
        }
    }
    assert!(step > 50, "{step} steps");
    println!("{step} steps, each with an error");
}

#[test]
fn a_seed_gives_one_history() {
    let trace = |seed| with_cut(u64::MAX, seed, store_some, is_whole).1;
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_store_that_was_being_made_can_be_made_after_a_power_cut() {
    with_every_cut(MANY, |_| drop(open()), is_whole);
}

/// Nothing of a cache waits for the disk, so anything may be left of it.
#[test]
fn a_cache_is_mended_after_a_power_cut_before_any_step() {
    fn open() -> Store {
        Store::open_mended(&Path::new(TARGET).join("cache")).unwrap().0
    }
    let use_it = |_: &Shared| {
        let store = open();
        let batch = store.batch().unwrap();
        add(&batch, "web", "1", &[]);
        batch.commit().unwrap();
    };
    with_every_cut(6 * MANY, use_it, |_| {
        open();
        // Opening mended it for good.
        Store::open(&Path::new(TARGET).join("cache"), Durability::Cache).unwrap();
    });
}

/// Stores artifacts, one of them anew, and a root.
fn store_some(told: &Shared) {
    let store = open();
    let said = |id| told.lock().unwrap().stored.push(id);
    let first = stored(&store, "first", "1", &[]);
    said(first);
    // Most of its files are there, and so is an older artifact of its name.
    let batch = store.batch().unwrap();
    let second = add(&batch, "first", "2", &[]);
    let third = add(&batch, "third", "1", &[first, second]);
    batch.commit().unwrap();
    said(second);
    said(third);
    store.check_out_anew(&first).unwrap();
    store.add_root("kept", &[third], None).unwrap();
}

#[test]
fn what_was_stored_survives_a_power_cut_before_any_step() {
    with_every_cut(FEW, store_some, is_whole);
}

#[test]
fn what_gc_keeps_survives_a_power_cut_before_any_step() {
    with_every_cut(
        FEW,
        |told| {
            let store = open();
            let (kept, dropped) = (stored(&store, "kept", "1", &[]), stored(&store, "dropped", "2", &[]));
            told.lock().unwrap().stored.push(kept);
            store.gc(&[kept], &Silent).unwrap();
            let again = stored(&store, "dropped", "2", &[kept]);
            assert_ne!(again, dropped);
            told.lock().unwrap().stored.push(again);
        },
        is_whole,
    );
}

/// A mark that cannot be a file of its own is another name of one.
#[test]
fn what_gc_keeps_survives_a_power_cut_on_a_disk_without_an_inode() {
    let prepare = |told: &Shared| {
        let store = open();
        let kept = stored(&store, "kept", "1", &[]);
        let dropped = stored(&store, "dropped", "2", &[kept]);
        stored(&store, "above", "3", &[dropped]);
        told.lock().unwrap().stored.push(kept);
    };
    let work = |told: &Shared| {
        let kept = told.lock().unwrap().stored.clone();
        assert_eq!(open().gc(&kept, &Silent).unwrap().of(ObjectKind::Artifact), 2);
    };
    // Whether one was refused and the power was cut, with this cut.
    let run = |cut, seed| {
        let seen = Rc::new(Cell::new((false, false)));
        let told = Rc::clone(&seen);
        let judge = move |changing, _, path: &Path| {
            let (refused, was_cut) = told.get();
            let is_mark = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"names-"));
            told.set((refused || is_mark, was_cut || changing == Some(cut)));
            match (changing == Some(cut), is_mark && !refused) {
                (true, _) => Ruling::Crash,
                (_, true) => Ruling::Fail(28),
                _ => Ruling::Go,
            }
        };
        disturbed(seed, prepare, work, is_whole, judge);
        seen.get()
    };
    let mut cut = 1;
    while (0..FEW).all(|seed| run(cut, seed).1) {
        cut += 1;
    }
    assert!(run(cut, 0).0 && cut > 10, "{cut} steps");
    println!("{cut} steps, {} power cuts", cut * FEW);
}

#[test]
fn a_batch_of_many_files_survives_a_power_cut_before_any_step() {
    with_every_cut(
        FEW,
        |told| {
            let store = open();
            let batch = store.batch().unwrap();
            let ids: Vec<_> =
                (0..4).map(|number| add(&batch, &format!("a{number}"), &number.to_string(), &[])).collect();
            batch.commit().unwrap();
            told.lock().unwrap().stored.extend(ids);
        },
        is_whole,
    );
}

#[test]
fn a_switch_is_done_or_not_when_the_power_is_cut_before_any_step() {
    with_every_cut(
        MANY,
        |told| {
            let generations = Generations::open(Path::new(TARGET)).unwrap();
            for number in 1..=3_u64 {
                let manifest = format!("manifest {number}");
                let link = (name("web"), format!("checkout-{number}"));
                let made = generations.create(manifest.as_bytes(), &[("record", b"text")], &[link]).unwrap();
                assert_eq!(made, number);
                told.lock().unwrap().switching = number;
                generations.switch(number).unwrap();
                told.lock().unwrap().switched = number;
            }
            generations.remove(1).unwrap();
        },
        |told| {
            let generations = Generations::open(Path::new(TARGET)).unwrap();
            generations.tidy().unwrap();
            let current = generations.current().unwrap();
            let possible = [told.switched, told.switching].map(|number| (number > 0).then_some(number));
            assert!(possible.contains(&current), "{current:?}");
            for number in generations.list().unwrap() {
                assert_eq!(generations.manifest(number).unwrap(), format!("manifest {number}").into_bytes());
                assert_eq!(generations.file(number, "record").unwrap().unwrap(), b"text");
                let link = fs::read_link(generations.path(number).join("web")).unwrap();
                assert!(link.ends_with(format!("checkout-{number}")), "{}", link.display());
            }
            assert!(current.is_none_or(|current| generations.list().unwrap().contains(&current)));
        },
    );
}
