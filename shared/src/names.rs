//! What the names that people give to things are made of, and when two names look alike.
//!
//! # Invariants
//!
//! - No name holds a control or invisible character, so that two names that differ look different.

/// Returns `true` if a name may hold a character: none of control, of format (which includes those that change the direction
/// of text), that separates lines, or that has no width or ink at all.
#[must_use]
pub fn is_visible(character: char) -> bool {
    !character.is_control() && !is_invisible(character)
}

/// Unicode's categories Cf, Zl and Zp, and `Default_Ignorable_Code_Point`; the Braille blank, which is neither.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// By what names are told apart: `NFKC`, without case, with single spaces. `nfkc` is the normalisation.
///
/// Upper case comes first, since it is what several lower cases share (`ß` and `ss`, the two forms of sigma).
#[must_use]
pub fn name_key(name: &str, nfkc: impl Fn(&str) -> String) -> String {
    let fold = |text: &str| -> String {
        nfkc(text).chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    };
    let visible: String = name.chars().filter(|character| is_visible(*character)).collect();
    // What is folded may be composed further, and what is composed folded.
    let folded = nfkc(&fold(&fold(&visible)));
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn key(name: &str) -> String {
        name_key(name, |text| text.nfkc().collect())
    }

    #[test]
    fn control_and_invisible_characters_are_in_no_name() {
        for character in [
            '\u{0}',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{2800}',
            '\u{e0041}',
            '\u{e0101}',
            '\u{1d173}',
        ] {
            assert!(!is_visible(character), "U+{:04X}", u32::from(character));
        }
        for character in "aÄ生é́🦀€ -_.".chars() {
            assert!(is_visible(character), "{character}");
        }
    }

    #[test]
    fn names_that_look_alike_have_one_key() {
        for (one, other) in [
            ("prod", "PROD"),
            ("prod", "ｐｒｏｄ"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("Straße", "STRASSE"),
            ("ﬁle", "FILE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("q", "q\u{200b}"),
            ("a b", "a\u{a0}\u{2003}b"),
            ("①", "1"),
            ("Å", "\u{212b}"),
            ("ẛ\u{323}", "ṩ"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        for (one, other) in [("prod", "prod1"), ("a b", "ab"), ("é", "e"), ("生", "産")] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key_and_that_of_other_spellings(name in any::<String>()) {
            let folded = key(&name);
            prop_assert_eq!(&key(&folded), &folded);
            prop_assert_eq!(&key(&name.nfd().collect::<String>()), &folded);
            prop_assert_eq!(&key(&name.nfkc().collect::<String>()), &folded);
            prop_assert!(folded.chars().all(|character| !is_invisible(character)));
        }
    }
}
