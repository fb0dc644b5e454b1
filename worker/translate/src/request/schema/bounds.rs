//! Size limits of a schema that are too expensive for Gemini to enforce, moved into descriptions.

use serde_json::{Map, Value};

use super::for_each;

/// What the `maxItems` of all schemas may add up to: with some more Gemini rejects a request, and does not say why.
/// <https://github.com/googleapis/python-genai/issues/2170>
const MAX_ITEMS: u128 = 960;

/// Rules about sizes; the value of each is a number.
pub(super) const SIZES: [&str; 8] = [
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
];

/// Takes away the rules that make a schema too large for Gemini to enforce.
pub(crate) fn loosen(schema: &mut Value) {
    for_each(schema, &mut |schema| {
        for rule in ["enum", "minItems", "maxItems", "pattern"] {
            schema.shift_remove(rule);
        }
    });
}

/// Tells all sizes in descriptions only. Whether there were any.
pub(crate) fn unbind(schema: &mut Value) -> bool {
    let mut changed = false;
    for_each(schema, &mut |schema| {
        let bounds = SIZES.into_iter().chain(["pattern"]);
        let found: Vec<String> = bounds
            .filter_map(|rule| schema.shift_remove(rule).map(|value| format!("{rule}: {value}")))
            .collect();
        if !found.is_empty() {
            describe(schema, &found.join(", "));
            changed = true;
        }
    });
    changed
}

/// Takes the largest `maxItems` away until the rest is small enough. Whether there was anything to take.
pub(crate) fn keep_within_budget<'s>(schemas: impl IntoIterator<Item = &'s mut Value>) -> bool {
    let mut schemas: Vec<&mut Value> = schemas.into_iter().collect();
    let mut limits: Vec<u64> = Vec::new();
    for schema in &mut schemas {
        for_each(schema, &mut |schema| limits.extend(most_items(schema)));
    }
    let mut sum: u128 = limits.iter().map(|limit| u128::from(*limit)).sum();
    if sum <= MAX_ITEMS {
        return false;
    }
    limits.sort_unstable();
    // Of those that are as large as the smallest one to go, the first ones go.
    let (mut smallest, mut of_smallest) = (u64::MAX, 0_usize);
    while let Some(limit) = limits.pop().filter(|_| sum > MAX_ITEMS) {
        of_smallest = if limit == smallest { of_smallest + 1 } else { 1 };
        smallest = limit;
        sum -= u128::from(limit);
    }
    for schema in schemas {
        for_each(schema, &mut |schema| {
            let Some(limit) = most_items(schema).filter(|limit| *limit >= smallest) else { return };
            if limit == smallest {
                if of_smallest == 0 {
                    return;
                }
                of_smallest -= 1;
            }
            schema.shift_remove("maxItems");
            describe(schema, &format!("at most {limit} items"));
        });
    }
    true
}

fn most_items(schema: &Map<String, Value>) -> Option<u64> {
    let limit = schema.get("maxItems")?;
    limit.as_u64().or_else(|| {
        // A number beyond 64 bits, or one that is written with a fraction.
        let limit = limit.as_f64()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (limit > 0.0).then_some(limit as u64)
    })
}

/// Adds words to a description.
pub(super) fn describe(schema: &mut Map<String, Value>, words: &str) {
    let told = schema.get("description").and_then(Value::as_str).filter(|told| !told.is_empty());
    let words = told.map_or_else(|| format!("({words})"), |told| format!("{told} ({words})"));
    schema.insert("description".into(), words.into());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lists(limits: &[u64]) -> Value {
        let list = |(place, limit): (usize, &u64)| {
            (format!("p{place}"), json!({"type": "array", "maxItems": limit, "items": {"type": "string"}}))
        };
        let properties: Map<String, Value> = limits.iter().enumerate().map(list).collect();
        json!({"type": "object", "properties": properties})
    }

    fn kept(schema: &Value) -> Vec<u64> {
        schema["properties"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|list| list["maxItems"].as_u64())
            .collect()
    }

    #[test]
    fn the_largest_limits_go_into_descriptions() {
        let mut schema = lists(&[250, 250, 250, 250, 250, 250]);
        assert!(keep_within_budget([&mut schema]));
        assert_eq!(kept(&schema), [250, 250, 250]);
        assert_eq!(schema["properties"]["p0"]["description"], "(at most 250 items)");
        let mut schema = lists(&[10, 5_000, 900]);
        assert!(keep_within_budget([&mut schema]));
        assert_eq!(kept(&schema), [10, 900]);
        let mut fits = lists(&[480, 480]);
        assert!(!keep_within_budget([&mut fits]));
        assert_eq!(fits, lists(&[480, 480]));
        let mut two = [lists(&[600]), lists(&[600])];
        assert!(keep_within_budget(&mut two));
        assert_eq!(two.iter().flat_map(kept).collect::<Vec<_>>(), [600]);
    }

    #[test]
    fn all_sizes_are_told_in_words() {
        let mut schema = json!({"type": "object", "properties": {
            "a": {"type": "array", "description": "A list.", "minItems": 1, "maxItems": 3, "items": {"type": "integer", "minimum": 0}}}});
        assert!(unbind(&mut schema));
        assert_eq!(
            schema["properties"]["a"],
            json!({"type": "array", "description": "A list. (minItems: 1, maxItems: 3)",
                   "items": {"type": "integer", "description": "(minimum: 0)"}})
        );
        assert!(!unbind(&mut schema));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_left_fits_and_no_smaller_limit_goes_before_a_larger_one(
            limits in prop::collection::vec(prop_oneof![0_u64..1_200, any::<u64>()], 0..20),
        ) {
            let mut schema = lists(&limits);
            let changed = keep_within_budget([&mut schema]);
            let kept = kept(&schema);
            let sum = |limits: &[u64]| limits.iter().map(|limit| u128::from(*limit)).sum::<u128>();
            prop_assert!(sum(&kept) <= MAX_ITEMS);
            prop_assert_eq!(changed, sum(&limits) > MAX_ITEMS);
            let mut sorted = limits;
            sorted.sort_unstable();
            sorted.truncate(kept.len());
            let mut kept = kept;
            kept.sort_unstable();
            prop_assert_eq!(&kept, &sorted);
            prop_assert!(!keep_within_budget([&mut schema]));
        }
    }
}
