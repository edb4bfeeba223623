//! Gives a release build the agents that it carries, and refuses one whose programs would not run on other machines.
//!
//! An agent is the program `batou-agent`, built for size by a cargo within this one: cargo has no stable way to depend on a
//! program. There is one for this build's own target, and one for each other kind of processor whose standard library and C
//! compiler are installed. `BATOU_AGENT_<TARGET>`, as `BATOU_AGENT_AARCH64_UNKNOWN_LINUX_GNU`, names a program that was built
//! before, for any kind and any profile; where it is empty, there is to be none of that kind. Other debug builds carry none,
//! so that they are quick, and send hosts themselves.
//!
//! `cargo check` and `cargo doc` cannot be told from `cargo build` here: with `--release` they build the agent, for the next
//! build to find. Clippy can, and does not.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::{Compression, GzBuilder};

/// What hosts may be. Any Linux of a processor runs the static agent of any of its targets, so the first that can be built
/// is enough.
const TARGETS: [&str; 12] = [
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-gnueabihf",
    "armv7-unknown-linux-musleabihf",
    "i686-unknown-linux-gnu",
    "i686-unknown-linux-musl",
    "riscv64gc-unknown-linux-gnu",
    "riscv64gc-unknown-linux-musl",
    "powerpc64le-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
];
/// What an agent is made of.
const SOURCES: [&str; 6] = ["agent", "release", "store", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let own = env::var("TARGET")?;
    let is_release = env::var("PROFILE")? == "release";
    if is_release {
        if !is_static() {
            refuse();
            return Ok(());
        }
        for path in SOURCES {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let others = TARGETS.into_iter().filter(|target| *target != own);
    let mut agents: Vec<(&str, PathBuf)> = Vec::new();
    for target in std::iter::once(own.as_str()).chain(others) {
        let variable = format!("BATOU_AGENT_{}", target.to_uppercase().replace('-', "_"));
        println!("cargo::rerun-if-env-changed={variable}");
        let is_served = agents.iter().any(|(agent, _)| processor(agent) == processor(target));
        match env::var_os(variable) {
            Some(path) if path.is_empty() => {}
            Some(path) => {
                println!("cargo::rerun-if-changed={}", Path::new(&path).display());
                agents.push((target, path.into()));
            }
            None if !is_release || is_served || is_clippy() => {}
            None if target == own => agents.push((target, build(target, None)?)),
            None => {
                let Some(compiler) = foreign_compiler(target) else { continue };
                match build(target, Some(compiler.as_ref())) {
                    Ok(path) => agents.push((target, path)),
                    Err(error) => println!("cargo::warning=without an agent for {target}: {error}"),
                }
            }
        }
    }
    carry(&agents)
}

fn is_static() -> bool {
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    features.split(',').any(|feature| feature == "crt-static")
}

fn refuse() {
    println!(
        "cargo::error=a release build of batou must be static, since it and its agent run on every host; \
         RUSTFLAGS in the environment overrides .cargo/config.toml: unset it, or add -C target-feature=+crt-static"
    );
}

/// Whether this is a look only, whose results no build will use.
fn is_clippy() -> bool {
    let wrapper = env::var_os("RUSTC_WORKSPACE_WRAPPER").map(PathBuf::from);
    wrapper.is_some_and(|path| path.file_stem() == Some(OsStr::new("clippy-driver")))
}

fn processor(target: &str) -> &str {
    target.split('-').next().unwrap_or(target)
}

/// The C compiler for another target, which also links, where it and the standard library are installed.
fn foreign_compiler(target: &str) -> Option<String> {
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    let library = rustc.args(["--print", "target-libdir", "--target", target]).output().ok()?;
    if !Path::new(String::from_utf8(library.stdout).ok()?.trim()).is_dir() {
        return None;
    }
    let variable = format!("CC_{}", target.replace('-', "_"));
    println!("cargo::rerun-if-env-changed={variable}");
    if let Ok(compiler) = env::var(variable) {
        return Some(compiler);
    }
    // As the crate `cc` looks for it.
    let name = target.replace("-unknown", "").replace("armv7", "arm").replace("riscv64gc", "riscv64");
    let name = format!("{name}-gcc");
    env::split_paths(&env::var_os("PATH")?).any(|folder| folder.join(&name).is_file()).then_some(name)
}

/// Builds the agent for a target; `compiler` is that of another than this build's own.
fn build(target: &str, compiler: Option<&str>) -> Outcome<PathBuf> {
    let mut cargo = Command::new(env::var("CARGO")?);
    let folder = agent_folder()?;
    cargo.args(["build", "--quiet", "--locked", "--package", "batou-agent", "--profile", "agent"]);
    cargo.args(["--target", target, "--target-dir"]).arg(&folder);
    cargo.current_dir(env::var("CARGO_MANIFEST_DIR")?);
    // What wraps the compiler for the outer build, to measure coverage say, is not meant for what runs on hosts.
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
    if let Some(compiler) = compiler {
        // The outer build's flags may be for its own processor.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        if env::var_os(&linker).is_none() {
            cargo.env(linker, compiler);
        }
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!("cannot build it: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(folder.join(target).join("agent/batou-agent"))
}

/// Where the inner cargo builds. It is the same for every kind of build, whose `OUT_DIR`s differ, and no folder that the outer
/// cargo holds a lock on.
fn agent_folder() -> Outcome<PathBuf> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let scripts = out.ancestors().find(|path| path.ends_with("build"));
    let profile = scripts.and_then(Path::parent).ok_or("OUT_DIR is in no folder of build scripts")?;
    Ok(profile.join("agents"))
}

/// Packs the agents, for `src/remote/carried.rs` to include.
fn carry(agents: &[(&str, PathBuf)]) -> Outcome<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut list = String::from("&[");
    for (target, path) in agents {
        let program = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let digest = blake3::hash(&program);
        let name = format!("{target}.gz");
        let mut packing = GzBuilder::new().write(fs::File::create(out.join(&name))?, Compression::best());
        packing.write_all(&program)?;
        packing.finish()?;
        let bytes = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
        let digest = digest.as_bytes();
        list += &format!("Carried {{ target: {target:?}, digest: {digest:?}, packed: {bytes} }},");
    }
    fs::write(out.join("agents.rs"), list + "]")?;
    let targets: Vec<&str> = agents.iter().map(|(target, _)| *target).collect();
    let carried = if targets.is_empty() { "none".to_owned() } else { targets.join(", ") };
    println!("cargo::rustc-env=BATOU_CARRIED={carried}");
    Ok(())
}
