//! What a file or a `configure` may use: it ends with an error, rather than the whole evaluation with a hang.

use starlark::eval::Evaluator;

/// Function calls and turns of loops, for a file or a run: a hundred times what a large component needs, and over
/// within a second.
const STEPS: u64 = 2_000_000;

/// The size of a file, in bytes: what is larger is no configuration.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// Calls within calls. Each takes room on the thread's stack, see [`STACK`].
pub(crate) const CALLS: usize = 200;

/// Bytes of strings, lists and other values. The interpreter looks every thousand steps.
pub(crate) const MEMORY: usize = 256 * 1024 * 1024;

/// Room on the stack of a thread that loads or runs Starlark, for calls within calls and nested expressions: some
/// 40,000 brackets within brackets, or operators in a chain. Nothing looks for more before the parser does. A file of
/// [`LARGEST`] bytes has room for it, and then ends the process, whose parent names the file. Pages are taken as needed.
pub(crate) const STACK: usize = 256 * 1024 * 1024;

/// Bounds an evaluation that is about to begin.
pub(crate) fn bound(eval: &mut Evaluator<'_, '_, '_>) {
    // Each fails only for zero, or when it is set twice.
    let _ = eval.set_max_tick_count(STEPS);
    let _ = eval.set_max_callstack_size(CALLS);
    let _ = eval.set_max_heap_size(MEMORY);
}

/// What one of the interpreter's errors about limits says to users.
pub(crate) fn explained(message: &str) -> Option<(String, &'static str)> {
    if message.contains("ticks has been exceeded") {
        let message = format!("more than {} million steps were made", STEPS / 1_000_000);
        return Some((message, "look for a loop that grows: a step is a call, or a turn of a loop"));
    }
    if message.contains("Heap memory limit") {
        let message = format!("more than {} MiB of values were made", MEMORY / 1024 / 1024);
        return Some((message, "look for a loop that collects too much"));
    }
    if message.contains("call stack overflow") {
        let message = format!("functions call each other more than {CALLS} deep");
        return Some((message, "look for a function that calls itself without an end"));
    }
    None
}
