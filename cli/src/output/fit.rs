//! Table layout: the columns that fit a terminal's width, and their widths.
//!
//! A row is one line. Free text is shortened first, down to a minimum width. Then the least
//! important columns are dropped. Ids, numbers and states are never shortened, and the first column
//! is never dropped.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Minimum width of free text.
const MIN_TEXT_WIDTH: usize = 12;
/// The space between two columns.
pub const GAP: usize = 2;

/// Layout properties of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Width of its widest cell, including the header.
    pub width: usize,
    /// Width of its header.
    pub header: usize,
    /// Whether it is free text, which may be shortened.
    pub text: bool,
    /// Columns with the highest rank are dropped first; of equal ranks the rightmost.
    pub rank: u8,
}

impl Measured {
    fn minimum(&self) -> usize {
        if self.text { self.width.min(self.header.max(MIN_TEXT_WIDTH)) } else { self.width }
    }
}

/// Returns the width of each column within `total`; `None` for dropped columns.
pub fn fit(columns: &[Measured], total: usize) -> Vec<Option<usize>> {
    let mut kept: Vec<_> = (0..columns.len()).collect();
    let needed = |kept: &[usize], width: fn(&Measured) -> usize| {
        let cells: usize = kept.iter().filter_map(|index| columns.get(*index)).map(width).sum();
        cells + GAP * kept.len().saturating_sub(1)
    };
    while needed(&kept, Measured::minimum) > total {
        let rank = |index: &usize| columns.get(*index).map_or(0, |column| column.rank);
        let dropped = kept.iter().enumerate().skip(1).max_by_key(|(_, index)| rank(index));
        let Some(place) = dropped.map(|(place, _)| place) else { break };
        kept.remove(place);
    }
    let spare = total.saturating_sub(needed(&kept, Measured::minimum));
    let mut widths = vec![None; columns.len()];
    for index in &kept {
        if let (Some(width), Some(column)) = (widths.get_mut(*index), columns.get(*index)) {
            *width = Some(column.minimum());
        }
    }
    share(columns, &mut widths, spare);
    // A single column of free text is shortened to fit.
    if let ([only], Some(column)) = (kept.as_slice(), kept.first().and_then(|index| columns.get(*index)))
        && let Some(width) = widths.get_mut(*only)
        && column.text
    {
        *width = Some(column.width.min(total.max(1)));
    }
    widths
}

/// Distributes the spare width evenly to columns of shortened free text.
fn share(columns: &[Measured], widths: &mut [Option<usize>], mut spare: usize) {
    loop {
        let mut hungry: Vec<_> = columns
            .iter()
            .zip(widths.iter_mut())
            .filter_map(|(column, width)| width.as_mut().map(|width| (column.width, width)))
            .filter(|(wanted, width)| **width < *wanted)
            .collect();
        if hungry.is_empty() || spare == 0 {
            return;
        }
        let each = (spare / hungry.len()).max(1);
        for (wanted, width) in &mut hungry {
            let more = each.min(*wanted - **width).min(spare);
            **width += more;
            spare -= more;
        }
    }
}

/// Returns `text` within `width` terminal columns, with a final `…` if it was shortened.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(character);
    }
    let mut short = short.trim_end().to_owned();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn id(width: usize, rank: u8) -> Measured {
        Measured { width, header: 2, text: false, rank }
    }

    const fn text(width: usize, rank: u8) -> Measured {
        Measured { width, header: 4, text: true, rank }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(fit(&[id(10, 0), text(20, 1)], 32), [Some(10), Some(20)]);
    }

    #[test]
    fn text_is_shortened_before_a_column_is_dropped() {
        assert_eq!(fit(&[id(10, 0), text(50, 1), id(5, 1)], 40), [Some(10), Some(21), Some(5)]);
        assert_eq!(fit(&[text(50, 0), text(30, 1)], 42), [Some(20), Some(20)]);
    }

    #[test]
    fn the_column_of_the_highest_rank_goes_first_and_the_first_one_never() {
        assert_eq!(fit(&[id(10, 9), id(10, 2), id(10, 1)], 25), [Some(10), None, Some(10)]);
        assert_eq!(fit(&[id(10, 9), id(10, 1), id(10, 1)], 25), [Some(10), Some(10), None]);
        assert_eq!(fit(&[id(10, 9), id(10, 1)], 5), [Some(10), None]);
        assert_eq!(fit(&[text(100, 0), id(10, 1)], 10), [Some(10), None]);
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(shorten("钥匙池名称", 6), "钥匙…");
        assert_eq!(shorten("a key", 5), "a key");
        assert_eq!(shorten("a long key", 8), "a long…");
    }

    proptest! {
        #[test]
        fn a_row_fits_and_nothing_but_text_is_shortened(
            columns in proptest::collection::vec(
                (1_usize..60, 1_usize..10, any::<bool>(), 0_u8..4).prop_map(|(width, header, text, rank)| {
                    Measured { width: width.max(header), header, text, rank }
                }),
                1..10,
            ),
            total in 1_usize..200,
        ) {
            let widths = fit(&columns, total);
            let kept: Vec<_> = widths.iter().flatten().collect();
            let used = kept.iter().copied().sum::<usize>() + GAP * (kept.len() - 1);
            prop_assert!(widths[0].is_some());
            prop_assert!(used <= total || (kept.len() == 1 && !columns[0].text));
            for (column, width) in columns.iter().zip(&widths) {
                if let Some(width) = width {
                    prop_assert!(*width <= column.width && (column.text || *width == column.width));
                }
            }
        }

        #[test]
        fn a_shortened_text_is_never_too_wide(text in "\\PC{0,40}", width in 1_usize..30) {
            prop_assert!(shorten(&text, width).width() <= width.max(1));
        }
    }
}
