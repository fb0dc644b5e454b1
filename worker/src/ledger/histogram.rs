//! Sparse histogram of durations, with quantiles within 5 %.
//!
//! Each bucket is a tenth wider than the previous one, so histograms can be added exactly.

use std::fmt;

use pool_shared::Quantiles;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ratio of the widths of two consecutive buckets. The geometric middle of a bucket is off by at
/// most its square root: 4.9 %.
const RATIO: f64 = 1.1;

/// Counts by bucket, in order: 0 for 0 ms, `n` for `RATIO^(n-1)` up to `RATIO^n` ms. A list instead
/// of a map, because there are two for each key and minute, and nearly all have one or two buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<(u16, u64)>);

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, milliseconds: u64) {
        self.count_in(bucket(milliseconds), 1);
    }

    fn count_in(&mut self, bucket: u16, more: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count += more;
                }
            }
            Err(at) => self.0.insert(at, (bucket, more)),
        }
    }

    /// Adds another histogram to this one.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (bucket, count) in &other.0 {
            self.count_in(*bucket, *count);
        }
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Returns a percentile in milliseconds; `None` if nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut counted = 0;
        self.0.iter().find_map(|(bucket, count)| {
            counted += count;
            (counted >= rank).then(|| middle(*bucket))
        })
    }

    /// Returns the quantiles that are shown; `None` if nothing was counted.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        Some(Quantiles {
            count: self.count(),
            p50_ms: self.percentile(50)?,
            p95_ms: self.percentile(95)?,
            p99_ms: self.percentile(99)?,
        })
    }
}

/// Serialises as a map from bucket to count.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(bucket, count)| (bucket, count)))
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Buckets;

        impl<'de> Visitor<'de> for Buckets {
            type Value = Histogram;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from bucket to count")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Histogram, A::Error> {
                let mut histogram = Histogram::default();
                while let Some((bucket, count)) = map.next_entry()? {
                    histogram.count_in(bucket, count);
                }
                Ok(histogram)
            }
        }

        deserializer.deserialize_map(Buckets)
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the logarithm of a u64 is positive and below 500"
)]
fn bucket(milliseconds: u64) -> u16 {
    if milliseconds == 0 { 0 } else { 1 + ((milliseconds as f64).ln() / RATIO.ln()) as u16 }
}

fn middle(bucket: u16) -> f64 {
    if bucket == 0 { 0.0 } else { RATIO.powf(f64::from(bucket) - 0.5) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_within_five_percent(
            mut values in proptest::collection::vec(prop_oneof![0_u64..50, 0_u64..100_000, 0_u64..1 << 40], 1..300),
        ) {
            let mut histogram = Histogram::default();
            let mut halves = [Histogram::default(), Histogram::default()];
            for (index, value) in values.iter().enumerate() {
                histogram.record(*value);
                halves[index % 2].record(*value);
            }
            values.sort_unstable();
            for percent in [1_u64, 50, 95, 99, 100] {
                let rank = (values.len() * usize::try_from(percent).unwrap()).div_ceil(100).max(1);
                #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
                let exact = values[rank - 1] as f64;
                let shown = histogram.percentile(percent).unwrap();
                prop_assert!((shown - exact).abs() <= exact * 0.05, "p{percent}: {shown} for {exact}");
            }
            let [mut left, right] = halves;
            left.add(&right);
            prop_assert_eq!(&left, &histogram);
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }
    }

    #[test]
    fn it_is_written_as_a_map_in_the_order_of_its_buckets() {
        let mut histogram = Histogram::default();
        for value in [100, 0, 1, 100] {
            histogram.record(value);
        }
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(text, r#"{"0":1,"1":1,"49":2}"#);
        let unordered: Histogram = serde_json::from_str(r#"{"49":2,"1":1,"0":1}"#).unwrap();
        assert_eq!(unordered, histogram);
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Histogram::default().quantiles(), None);
    }
}
