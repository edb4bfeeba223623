//! How much a file or a `configure` may use. Beyond that it ends with an error, rather than hanging the whole
//! evaluation.

use starlark::eval::Evaluator;

/// Function calls and turns of loops in a file or a run: a hundred times what a large component needs, and used up
/// within a second.
const OPERATIONS: u64 = 2_000_000;

/// The size of a file, in bytes: a larger one is not configuration.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// How deep calls may be nested. Each takes room on the thread's stack, see [`STACK`].
pub(crate) const CALLS: usize = 200;

/// Bytes of strings, lists and other values. The interpreter checks every thousand operations.
pub(crate) const MEMORY: usize = 256 * 1024 * 1024;

/// The stack of a thread that loads or runs Starlark. It suffices for nested calls, and for expressions with some
/// 40,000 nested brackets or chained operators. Nothing checks for more before the parser runs: a file of [`LARGEST`]
/// bytes can contain more, and ends the process, whose parent then names the file. The system takes pages only when
/// they are used.
pub(crate) const STACK: usize = 256 * 1024 * 1024;

/// Bounds an evaluation that is about to begin.
pub(crate) fn bound(eval: &mut Evaluator<'_, '_, '_>) {
    // Each fails only for zero, or when it is set twice.
    let _ = eval.set_max_tick_count(OPERATIONS);
    let _ = eval.set_max_callstack_size(CALLS);
    let _ = eval.set_max_heap_size(MEMORY);
}

/// The message and the advice for one of the interpreter's errors about limits.
pub(crate) fn explained(message: &str) -> Option<(String, &'static str)> {
    if message.contains("ticks has been exceeded") {
        let message = format!(
            "the code does too much work, or never ends: {} million calls and turns of loops",
            OPERATIONS / 1_000_000
        );
        return Some((message, "look for a loop that grows"));
    }
    if message.contains("Heap memory limit") {
        let message = format!("the code made more than {} MiB of values", MEMORY / 1024 / 1024);
        return Some((message, "look for a loop that collects too much"));
    }
    if message.contains("call stack overflow") {
        let message = format!("functions call each other more than {CALLS} deep");
        return Some((message, "look for a function that calls itself without end"));
    }
    None
}
