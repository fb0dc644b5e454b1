//! How many attempts the ledger is owed, in a file: what a process that was killed could not report any more, the next
//! one counts as lost. The file holds an upper bound, see [`Owed`].
//!
//! The system keeps what a killed process wrote. After a power cut the number is as old as what reached the disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::folder::open_private;
use crate::ledger::Owed;

const NAME: &str = "unreported";

/// Opens the file, or makes it: what is owed from before, and who keeps the bound from now on. What cannot be read
/// counts as nothing.
pub(super) fn open(folder: &Path) -> std::io::Result<Owed> {
    let path = folder.join(NAME);
    let mut file = open_private(&path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let before = text.trim().parse().unwrap_or_default();
    Ok(Owed::new(before, move |bound| keep(&file, bound)))
}

fn keep(file: &File, bound: u64) {
    // Always as long, so that no old digit is left behind. A disk that takes nothing fails the store too, which tells.
    let _ = write_at_start(file, format!("{bound:020}\n").as_bytes());
}

#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn write_at_start(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, Write};

    file.rewind()?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_outlives_whoever_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let owed = open(folder.path()).unwrap();
        assert_eq!(owed.number(), 0);
        (0..12).for_each(|_| owed.begin());
        owed.settle(3);
        drop(owed);
        let owed = open(folder.path()).unwrap();
        assert_eq!(owed.number(), 10, "9, and an eighth of it");
        owed.settle(20);
        assert_eq!(open(folder.path()).unwrap().number(), 0);
        std::fs::write(folder.path().join(NAME), "cut").unwrap();
        assert_eq!(open(folder.path()).unwrap().number(), 0);
    }
}
