#![no_main]

#[path = "../projects.rs"]
mod projects;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    projects::environment_toml(data);
});
