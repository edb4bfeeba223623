//! A machine's disk.

/// A disk.
#[derive(Debug, Default)]
pub struct Disk {}

impl Disk {
    /// Closes everything that a process had open.
    pub(super) fn close_all(&mut self, _process: u32) {}

    /// What is left after a power cut: what was synced, and of the rest what the chance wills.
    pub(super) fn power_cut(&mut self, _random: &mut fastrand::Rng) {}
}
