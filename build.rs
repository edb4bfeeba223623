//! Refuses a release build that would not run as an agent on other machines.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=BATOU_TARGET={}", var("TARGET"));
    let is_static = var("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if var("PROFILE") == "release" && !is_static {
        println!(
            "cargo::error=a release build of batou must be static, since the same binary runs on every host; \
             RUSTFLAGS in the environment overrides .cargo/config.toml: unset it, or add -C target-feature=+crt-static"
        );
    }
}
