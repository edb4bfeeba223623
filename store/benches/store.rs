//! What a store costs beside plain copying: 1,000 artifacts of 10 files of 2 KiB.
//!
//! `cp -r` writes the same files without hashing, names by digest, or hard links; it is the yardstick.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;

use batou_store::{Artifact, ArtifactId, Batch, Durability, Mode, Name, Silent, SourceHasher, Store, Tree};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tempfile::TempDir;

const ARTIFACTS: usize = 1000;
const FILES: usize = 10;

/// 2 KiB that no other file has.
fn content(artifact: usize, file: usize) -> Vec<u8> {
    let line = format!("artifact {artifact} file {file}\n");
    line.into_bytes().into_iter().cycle().take(2048).collect()
}

fn add(batch: &Batch, artifact: usize) -> ArtifactId {
    let mut tree = Tree::new();
    for file in 0..FILES {
        let node = batch.bytes(&content(artifact, file), Mode::PLAIN).unwrap();
        tree.insert(Name::new(format!("file-{file}")).unwrap(), node).unwrap();
    }
    let tree = batch.tree(&tree).unwrap();
    let name = Name::new(format!("component-{artifact}")).unwrap();
    batch.artifact(&Artifact { name, tree, references: [].into() }).unwrap()
}

fn fill(store: &Store) -> Vec<ArtifactId> {
    let batch = store.batch().unwrap();
    let ids = (0..ARTIFACTS).map(|artifact| add(&batch, artifact)).collect();
    batch.commit().unwrap();
    ids
}

fn write_source(folder: &Path) {
    for artifact in 0..ARTIFACTS {
        let folder = folder.join(format!("component-{artifact}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..FILES {
            fs::write(folder.join(format!("file-{file}")), content(artifact, file)).unwrap();
        }
    }
}

fn empty(durability: Durability) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), durability).unwrap();
    (folder, store)
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1000 artifacts of 10 files");
    group.sample_size(10);
    let source = tempfile::tempdir().unwrap();
    write_source(source.path());
    group.bench_function("cp -r", |bencher| {
        bencher.iter_batched_ref(
            || tempfile::tempdir().unwrap(),
            |target| {
                let mut copy = Command::new("cp");
                assert!(copy.arg("-r").arg(source.path()).arg(target.path()).status().unwrap().success());
            },
            BatchSize::PerIteration,
        );
    });
    for durability in [Durability::Cache, Durability::Host] {
        group.bench_function(format!("batch with checkout, {durability:?}"), |bencher| {
            bencher.iter_batched_ref(|| empty(durability), |(_, store)| fill(store), BatchSize::PerIteration);
        });
    }
    let (folder, store) = empty(Durability::Cache);
    let ids = fill(&store);
    group.bench_function("hash sources", |bencher| {
        let files: Vec<_> = walkdir::WalkDir::new(source.path()).into_iter().map(Result::unwrap).collect();
        bencher.iter(|| {
            let sources = SourceHasher::open(&folder.path().join("cache"));
            for file in files.iter().filter(|entry| entry.file_type().is_file()) {
                sources.digest(file.path(), &Silent).unwrap();
            }
        });
    });
    group.bench_function("batch, all present", |bencher| bencher.iter(|| fill(&store)));
    group
        .bench_function("gc, nothing to remove", |bencher| bencher.iter(|| store.gc(&ids, &Silent).unwrap()));
    group.bench_function("verify before a switch", |bencher| {
        bencher.iter(|| assert!(store.verify_artifacts(&ids).unwrap().is_empty()));
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| assert!(store.verify(&Silent).unwrap().is_empty()));
    });
    group.finish();
}

criterion_group!(store, benches);
criterion_main!(store);
