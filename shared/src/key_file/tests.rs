use proptest::prelude::*;

use super::*;

const A: &str = "AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "AQ.Ab8RN6I-bbbbbbbbbbbbbbbbbbbb";

fn keys(file: &KeyFile) -> Vec<(&str, u64)> {
    file.entries.iter().map(|entry| (entry.key.expose(), entry.line.unwrap())).collect()
}

#[test]
fn keys_come_by_line_or_by_comma_with_comments_and_blanks() {
    let file = parse_key_file(&format!("\u{feff}# mine\r\n\r\n  {A}  \n{B}, {A},\n"));
    assert_eq!(keys(&file), [(A, 3), (B, 4)]);
    assert_eq!((file.duplicate, file.malformed.len()), (1, 0));
    assert_eq!(file.duplicate_lines, [4]);
}

#[test]
fn columns_give_weight_tag_and_name() {
    for separator in [',', ';', '\t', '|'] {
        let text = format!("{A},3,project-1,laptop\n{B},,project-2").replace(',', &separator.to_string());
        let file = parse_key_file(&text);
        assert_eq!(file.entries[0].weight.get(), 3, "{text}");
        assert_eq!(file.entries[0].tag, "project-1");
        assert_eq!(file.entries[0].name, "laptop");
        assert_eq!((file.entries[1].weight.get(), file.entries[1].tag.as_str()), (1, "project-2"));
    }
}

#[test]
fn bad_lines_are_reported_by_number_and_lose_nothing() {
    let file = parse_key_file(&format!("short\n{A}\n{B},9999\n{B},-1\n{B}"));
    assert_eq!(file.entries.len(), 2);
    let lines: Vec<_> = file.malformed.iter().map(|entry| entry.line).collect();
    assert_eq!(lines, [1, 3, 4]);
    assert!(file.malformed[1].reason.contains("0 to 1000"));
}

#[test]
fn a_header_is_passed_over_and_names_the_columns() {
    let file = parse_key_file(&format!("key,weight,tag,name\n{A},3,t,n\n{B}\n"));
    assert_eq!((keys(&file), file.malformed.len()), (vec![(A, 2), (B, 3)], 0));
    assert_eq!((file.entries[0].weight.get(), file.entries[0].name.as_str()), (3, "n"));
    let file =
        parse_key_file(&format!("# mine\n\"Name\";\"API Key\";\"owner\";\"project\"\nlaptop;{A};me;p-1\n"));
    assert_eq!(keys(&file), [(A, 3)]);
    let entry = &file.entries[0];
    assert_eq!((entry.name.as_str(), entry.project.as_str(), entry.tag.as_str()), ("laptop", "p-1", ""));
    assert_eq!(keys(&parse_key_file(&format!("keys\n{A}\n{B}, {A}"))), [(A, 2), (B, 3)]);
    let file = parse_key_file(&format!("key,project,Billing account\n{A},p-1,acme\n"));
    assert_eq!((file.entries[0].project.as_str(), file.entries[0].billing_account.as_str()), ("p-1", "acme"));
}

#[test]
fn quotes_of_csv_are_read() {
    let file = parse_key_file(&format!("\"{A}\",\"2\",\"team, \"\"x\"\"\",laptop\n\"{B}\" , 3\n"));
    assert_eq!((keys(&file), file.malformed.len()), (vec![(A, 1), (B, 2)], 0));
    assert_eq!((file.entries[0].weight.get(), file.entries[0].tag.as_str()), (2, "team, \"x\""));
    assert_eq!(file.entries[1].weight.get(), 3);
}

#[test]
fn lines_may_end_as_they_do_anywhere() {
    for (end, noted) in [("\n", false), ("\r\n", false), ("\r", true)] {
        let file = parse_key_file(&format!("{A}{end}{end}{B}{end}"));
        assert_eq!((keys(&file), file.note.is_some()), (vec![(A, 1), (B, 3)], noted), "{end:?}");
    }
}

#[test]
fn keys_are_found_in_what_people_copy_them_from() {
    let texts = [
        format!("export GEMINI_API_KEYS=\"{A},{B}\""),
        format!("KEYS=({A} \"{B}\")"),
        format!("KEYS=(\n  {A}\n  '{B}'\n)"),
        format!("keys:\n  - {A}\n  - \"{B}\" # laptop\n"),
        format!("keys = [\n  \"{A}\",\n  \"{B}\",\n]\n"),
        format!("keys: [{A}, {B}]"),
        format!("```\n{A}\n{B}\n```"),
        format!("| key | weight |\n|---|---|\n| {A} | 2 |\n| `{B}` | 1 |"),
        format!("1. {A}\n2) {B}"),
        format!("> {A}\n* **{B}**"),
        format!("{A} | {B}"),
        format!("{A}\t{B}"),
        format!("{A}；{B}"),
        format!("const keys = [\"{A}\", \"{B}\"];"),
        format!("https://x/v1beta/models?key={A}&alt=sse\ncurl 'https://x?key={B}'"),
        format!("[\"{A}\",\"{B}\"]"),
        format!("{{\"keys\":[{{\"key\":\"{A}\"}},\n{{\"key\":\"{B}\"}}]}}"),
        format!("{{\"key\":\"{A}\"}}\n{{\"key\":\"{B}\"}}\n"),
        format!("{{\"GEMINI_KEY_2\":\"{A}\",\"apiKey\":\"{B}\",\"model\":\"a-model-of-some-longer-name\"}}"),
    ];
    for text in texts {
        let file = parse_key_file(&text);
        let found: Vec<_> = keys(&file).into_iter().map(|(key, _)| key).collect();
        assert_eq!((found, file.malformed.len()), (vec![A, B], 0), "{text}: {:?}", file.malformed);
    }
}

#[test]
fn what_is_no_key_is_never_taken_for_one() {
    let account = format!(
        "{{\n \"type\": \"service_account\",\n \"private_key_id\": \"{}\",\n \"private_key\": \"{A}\" }}",
        "a".repeat(40)
    );
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0BAQ".repeat(2)
    );
    let texts = [
        (account, "service account"),
        (pem, "PEM"),
        (format!("{{\"project\": \"{A}\"}}"), "JSON without Gemini keys"),
        (format!("[\"{A}\","), "begins like JSON"),
        (format!("['{A}']"), "begins like JSON"),
        ("AIza…wxyz".to_owned(), "masked"),
        (format!("{A}*****"), "masked"),
        (format!("{A} {B}"), "at position 41"),
        (format!("KEY={A}@"), "at position 45"),
        ("GEMINI_API_KEY=".to_owned(), "too short"),
    ];
    for (text, reason) in texts {
        let file = parse_key_file(&text);
        assert_eq!((file.entries.len(), file.malformed.len()), (0, 1), "{text}");
        assert!(file.malformed[0].reason.contains(reason), "{text}: {}", file.malformed[0].reason);
    }
}

#[test]
fn keys_of_json_have_their_line_and_labels() {
    let text = format!(
        "{{\"keys\": [\n {{\"key\": \"{A}\", \"weight\": 3, \"tag\": \"t\", \"project\": \"p\"}},\n \"{B}\",\n \"{A}\", \"short\", {{\"key\":\"{B}\",\"weight\":5000}}]}}"
    );
    let file = parse_key_file(&text);
    assert_eq!(keys(&file), [(A, 2), (B, 3)]);
    let entry = &file.entries[0];
    assert_eq!((entry.weight.get(), entry.tag.as_str(), entry.project.as_str()), (3, "t", "p"));
    assert_eq!(file.duplicate_lines, [4]);
    assert_eq!(file.malformed.iter().map(|entry| entry.line).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn a_large_file_is_read_in_no_time() {
    let key = |number: usize| format!("AIzaSyMany-{number:028}");
    let keys: Vec<_> = (0..20_000).map(|number| format!("  {{\"key\": \"{}\"}}", key(number))).collect();
    let file = parse_key_file(&format!("[\n{}\n]", keys.join(",\n")));
    assert_eq!((file.entries.len(), file.malformed.len()), (20_000, 0));
    assert_eq!(file.entries[19_999].line, Some(20_001));
    let long = format!("KEYS=\"{}\"", (0..20_000).map(key).collect::<Vec<_>>().join(","));
    assert_eq!(parse_key_file(&long).entries.len(), 20_000);
}

#[test]
fn a_key_that_is_written_with_escapes_keeps_its_neighbours_on_their_lines() {
    let escaped = A.replacen('A', "\\u0041", 1);
    let file = parse_key_file(&format!("[\n\"{B}\",\n\"{escaped}\",\n\"{B}x\"\n]"));
    assert_eq!(keys(&file), [(B, 2), (A, 2), (&*format!("{B}x"), 4)]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_only_keys_come_out(text in "[ -~\n\r\t,#é“…]{0,200}") {
        let file = parse_key_file(&text);
        for entry in &file.entries {
            prop_assert!(GeminiKey::parse(entry.key.expose()).is_ok());
        }
    }

    #[test]
    fn keys_survive_any_list_of_separators_and_line_ends(
        keys in proptest::collection::vec("[A-Za-z][A-Za-z0-9_]{19,50}", 1..8),
        separator in prop::sample::select(vec![",", ";", "\t", "|", "\n", "\r\n", " , ", "\n- ", ",\n"]),
        quote in prop::sample::select(vec!["", "\"", "'", "`", "”"]),
    ) {
        prop_assume!(keys.iter().all(|key| !key.starts_with("padm_") && !key.starts_with("pses_")));
        let text = keys.iter().map(|key| format!("{quote}{key}{quote}")).collect::<Vec<_>>().join(separator);
        let file = parse_key_file(&text);
        let mut expected: Vec<&String> = Vec::new();
        for key in &keys {
            if !expected.contains(&key) { expected.push(key); }
        }
        let found: Vec<_> = file.entries.iter().map(|entry| entry.key.expose().to_owned()).collect();
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", text);
        prop_assert!(file.malformed.is_empty());
    }
}
