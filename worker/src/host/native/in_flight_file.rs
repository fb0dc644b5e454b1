//! How many attempts and requests the ledger is owed, in a file: what a process that was killed could not report any more,
//! the next one counts as lost. The file holds upper bounds, see [`InFlightCounter`].
//!
//! The system keeps what a killed process wrote. After a power cut the number is as old as what reached the disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::folder::open_private;
use crate::ledger::{Counted, InFlightCounter};

/// The file, in the data folder.
pub(super) const NAME: &str = "unreported";

/// Opens the file, or makes it: what is owed from before, and who keeps the bound from now on. What cannot be read
/// counts as nothing.
pub(super) fn open(path: &Path) -> std::io::Result<InFlightCounter> {
    let mut file = open_private(path)?;
    // Two numbers and a line's end; what is more was not written here.
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(100).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    let before = Counted { attempts: next(), requests: next() };
    Ok(InFlightCounter::new(before, move |bound| keep(&file, bound)))
}

fn keep(file: &File, bound: Counted) {
    let Counted { attempts, requests } = bound;
    // Always as long, so that no old digit is left behind. A disk that takes nothing fails the store too, which tells.
    let _ = write_at_start(file, format!("{attempts:020} {requests:020}\n").as_bytes());
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
    fn the_numbers_outlive_whoever_wrote_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let counted = |attempts, requests| Counted { attempts, requests };
        let owed = open(&path).unwrap();
        assert_eq!(owed.number(), counted(0, 0));
        (0..12).for_each(|_| owed.begin());
        (0..20).for_each(|_| owed.begin_request());
        owed.acknowledge(counted(3, 0));
        drop(owed);
        let owed = open(&path).unwrap();
        assert_eq!(owed.number(), counted(10, 21), "9 and 20, and at most an eighth of it");
        owed.acknowledge(counted(20, 30));
        assert_eq!(open(&path).unwrap().number(), counted(0, 0));
        std::fs::write(&path, "00000000000000000007\n").unwrap();
        assert_eq!(open(&path).unwrap().number(), counted(7, 0), "as an earlier version wrote it");
        for cut in [b"cut".as_slice(), b"", b"\xff\xfe\x00\x00", b"-1 -1", &[b'9'; 10_000], &[0; 50]] {
            std::fs::write(&path, cut).unwrap();
            assert_eq!(open(&path).unwrap().number(), counted(0, 0), "{cut:?}");
        }
    }
}
