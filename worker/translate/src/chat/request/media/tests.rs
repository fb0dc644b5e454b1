use std::collections::HashMap;

use serde_json::{Value, json};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::gemini::ModelId;
use crate::request::media::{FetchedMedia, MediaSource, markdown_parts};
use crate::{TranslateOptions, to_gemini};

fn translate(model: &str, parts: &Value, options: &TranslateOptions<'_>) -> Result<Value, ApiError> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": parts}]}).to_string();
    let request = ChatRequest::parse(body.as_bytes())?;
    let call = to_gemini(&request, &ModelId::parse(model)?, options)?;
    Ok(serde_json::from_slice(&call.body).unwrap())
}

fn parts(model: &str, parts: &Value) -> Value {
    translate(model, parts, &TranslateOptions::default()).unwrap()["contents"][0]["parts"].clone()
}

fn refused(part: &Value) -> (String, &'static str) {
    let error = translate("gemini-3.8-flash", &json!([part]), &TranslateOptions::default()).unwrap_err();
    (error.param.unwrap_or_default(), error.code.unwrap_or_default())
}

fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

#[test]
fn data_urls_of_every_dialect() {
    for (url, mime, data) in [
        ("data:image/png;base64,AAAA", "image/png", "AAAA"),
        ("DATA:Image/JPG;charset=utf-8;BASE64,_-8=", "image/jpeg", "/+8="),
        ("data:image/png;base64,AA\n AA", "image/png", "AAAA"),
        ("data:image/png;base64,AA%2BA", "image/png", "AA+A"),
        ("data:image/svg+xml,%3Csvg%3E", "image/svg+xml", "PHN2Zz4="),
    ] {
        assert_eq!(
            parts("gemini-3.8-flash", &json!([image(url)])),
            json!([{"inlineData": {"mimeType": mime, "data": data}}]),
            "{url}"
        );
    }
    let bare = json!([{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]);
    assert_eq!(parts("gemini-3.8-flash", &bare)[0]["inlineData"]["data"], "AAAA");
}

#[test]
fn addresses_that_gemini_knows() {
    for url in [
        "https://www.youtube.com/watch?v=x",
        "https://youtu.be/x",
        "https://m.youtube.com/shorts/x",
        "https://generativelanguage.googleapis.com/v1beta/files/abc-1",
    ] {
        assert_eq!(
            parts("gemini-3.8-flash", &json!([image(url)])),
            json!([{"fileData": {"fileUri": url}}]),
            "{url}"
        );
    }
}

#[derive(Debug)]
struct Fetched(HashMap<String, FetchedMedia>);

impl MediaSource for Fetched {
    fn get(&self, url: &str) -> Option<&FetchedMedia> {
        self.0.get(url)
    }
}

#[test]
fn what_gemini_cannot_reach_is_refused_unless_fetched() {
    let place = "messages[0].content[0].image_url.url";
    for url in [
        "https://example.com/a.png",
        "http://169.254.169.254/latest",
        "https://evil.com/https://www.youtube.com/watch?v=x",
        "https://www.youtube.com.evil.com/watch?v=x",
        "https://generativelanguage.googleapis.com/v1beta/files/../models",
        "gs://bucket/x",
        "files/../x",
        "file:///etc/passwd",
        "",
    ] {
        assert_eq!(refused(&image(url)), (place.to_owned(), "invalid_image_url"), "{url}");
    }
    let url = "https://example.com/a";
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [image(url), image("https://youtu.be/x")]}]}).to_string();
    let remote = remote_media(&ChatRequest::parse(body.as_bytes()).unwrap());
    assert_eq!(remote, [RemoteMedia { param: place.to_owned(), url: url.to_owned() }]);
    let media = FetchedMedia::new(url, Some("application/octet-stream"), b"\x89PNG").unwrap();
    let fetched = Fetched(HashMap::from([(url.to_owned(), media)]));
    let options = TranslateOptions { media: Some(&fetched), ..TranslateOptions::default() };
    let body = translate("gemini-3.8-flash", &json!([image(url)]), &options).unwrap();
    assert_eq!(
        body["contents"][0]["parts"],
        json!([{"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}])
    );
    assert_eq!(FetchedMedia::new("https://x/page", Some("text/html"), b"<html>"), None);
}

#[test]
fn an_address_in_what_the_assistant_drew_is_one_too() {
    let message = json!({"role": "assistant", "content": "x", "images": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x/cat.png"}},
    ]});
    let body = json!({"model": "gemini-3.8-flash", "messages": [message]}).to_string();
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    let place = "messages[0].images[1].image_url.url".to_owned();
    assert_eq!(
        remote_media(&request),
        [RemoteMedia { param: place.clone(), url: "https://x/cat.png".to_owned() }]
    );
    let model = ModelId::parse(request.model()).unwrap();
    let error = to_gemini(&request, &model, &TranslateOptions::default()).unwrap_err();
    assert_eq!((error.param, error.code), (Some(place), Some("invalid_image_url")));
}

#[test]
fn sound_and_documents() {
    for (part, mime, data) in [
        (
            json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}),
            "audio/mpeg",
            "AAAA",
        ),
        (
            json!({"type": "input_audio", "input_audio": {"data": "data:audio/x-wav;base64,AAAA", "format": "mp3"}}),
            "audio/wav",
            "AAAA",
        ),
        (
            json!({"type": "file", "file": {"file_data": "JVBERi0=", "filename": "A.PDF"}}),
            "application/pdf",
            "JVBERi0=",
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:application/octet-stream;base64,AAAA", "filename": "x.csv"}}),
            "text/csv",
            "AAAA",
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:application/json;base64,e30="}}),
            "text/plain",
            "e30=",
        ),
    ] {
        assert_eq!(
            parts("gemini-3.8-flash", &json!([part])),
            json!([{"inlineData": {"mimeType": mime, "data": data}}]),
            "{part}"
        );
    }
    for (part, param, code) in [
        (
            json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}}),
            "input_audio.format",
            "invalid_value",
        ),
        (json!({"type": "file", "file": {"file_id": "file-abc"}}), "file.file_id", "file_not_found"),
        (json!({"type": "file", "file": {}}), "file.file_data", "missing_required_parameter"),
        (json!({"type": "file"}), "file", "missing_required_parameter"),
        (json!({"type": "smell"}), "type", "invalid_value"),
    ] {
        assert_eq!(refused(&part), (format!("messages[0].content[0].{param}"), code), "{part}");
    }
}

#[test]
fn resolution_of_each_or_of_all() {
    let with = |detail: &str| json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": detail}});
    let all = |details: &[&str]| Value::Array(details.iter().map(|detail| with(detail)).collect());
    let common = |details: &[&str]| {
        let body = translate("gemini-2.5-flash", &all(details), &TranslateOptions::default()).unwrap();
        assert!(body["contents"][0]["parts"][0].get("mediaResolution").is_none());
        body["generationConfig"]["mediaResolution"].clone()
    };
    assert_eq!(common(&["low", "low"]), "MEDIA_RESOLUTION_LOW");
    assert_eq!(common(&["low", "high"]), Value::Null);
    assert_eq!(common(&["high", "auto"]), Value::Null);
    let modern = parts("gemini-3.8-flash", &all(&["low", "original", "auto"]));
    assert_eq!(modern[0]["mediaResolution"]["level"], "MEDIA_RESOLUTION_LOW");
    assert_eq!(modern[1]["mediaResolution"]["level"], "MEDIA_RESOLUTION_ULTRA_HIGH");
    assert!(modern[2].get("mediaResolution").is_none());
}

#[test]
fn pictures_in_markdown_come_out() {
    let parts = |json: &str| -> Vec<Value> {
        let parts = markdown_parts(serde_json::from_str(json).unwrap());
        let written = parts.iter().map(|part| {
            let mut json = Vec::new();
            part.write(&mut json).unwrap();
            serde_json::from_slice(&json).unwrap()
        });
        written.collect()
    };
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let plain = r#""See ![a](data:image/png;base64,AAAA) and ![b](https://x/y.png) [c](data:image/gif;base64,BBBB)!""#;
    let found = parts(plain);
    assert_eq!(found[..2], [json!({"text": "See "}), picture.clone()]);
    assert_eq!(found.len(), 3, "{found:?}");
    // Escapes of all kinds hide no image.
    for escaped in [
        r#""\"a\"\n![](data:image/png;base64,AAAA)""#,
        r#""\"a\"\n![](data:image\/png;base64,AAAA)""#,
        r#""\"a\"\n\u0021[\u005D\u0028data:image/png;base64,AAAA)""#,
    ] {
        assert_eq!(parts(escaped), [json!({"text": "\"a\"\n"}), picture.clone()], "{escaped}");
    }
    assert_eq!(parts(r#""plain""#).len(), 1);
    assert!(parts(r#""""#).is_empty());
}

/// Returns the first bytes of a kind, in base64.
fn head(kind: &str) -> String {
    let bytes: &[u8] = match kind {
        "png" => b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "jpeg" => b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "wav" => b"RIFF\x24\0\0\0WAVEfmt ",
        "mp3" => b"ID3\x03\0\0\0\0\0\0",
        "pdf" => b"%PDF-1.7\n",
        "m4a" => b"\0\0\0\x1cftypM4A \0\0\0\0",
        _ => b"\x01\x02\x03\x04\x05\x06",
    };
    STANDARD.encode(bytes)
}

#[test]
fn a_kind_that_is_none_is_replaced_by_what_the_bytes_say() {
    for told in
        ["png", "", "application/octet-stream", "image/*", "undefined", "null", "image/", "*/*", "Png"]
    {
        let url = format!("data:{told};base64,{}", head("png"));
        let sent = parts("gemini-3.8-flash", &json!([image(&url)]));
        assert_eq!(sent[0]["inlineData"]["mimeType"], "image/png", "{told}");
        let unknown = format!("data:{told};base64,{}", head("unknown"));
        assert_eq!(
            refused(&image(&unknown)),
            ("messages[0].content[0].image_url.url".to_owned(), "invalid_image_url"),
            "{told}"
        );
    }
    // Within a family the bytes know better; between families the client does.
    for (told, bytes, expected) in [
        ("image/png", "jpeg", "image/jpeg"),
        ("image/jpeg", "png", "image/png"),
        ("audio/mpeg", "wav", "audio/wav"),
        ("audio/wav", "mp3", "audio/mpeg"),
        ("audio/aac", "mp3", "audio/aac"),
        ("audio/wav", "m4a", "audio/mp4"),
        ("image/png", "unknown", "image/png"),
        ("video/mp4", "m4a", "video/mp4"),
    ] {
        let url = format!("data:{told};base64,{}", head(bytes));
        let sent = parts("gemini-3.8-flash", &json!([image(&url)]));
        assert_eq!(sent[0]["inlineData"]["mimeType"], expected, "{told} {bytes}");
    }
}

#[test]
fn sound_in_every_spelling_of_its_format() {
    let sound = |data: &str, format: Value| json!([{"type": "input_audio", "input_audio": {"data": data, "format": format}}]);
    for (format, data, expected) in [
        (json!("aiff"), "UklGRg==".to_owned(), "audio/aiff"),
        (json!("x-wav"), "UklGRg==".to_owned(), "audio/wav"),
        (json!("wave"), "UklGRg==".to_owned(), "audio/wav"),
        (json!("x-m4a"), "UklGRg==".to_owned(), "audio/mp4"),
        (json!("mpga"), "UklGRg==".to_owned(), "audio/mpeg"),
        (json!("audio/wav"), "UklGRg==".to_owned(), "audio/wav"),
        (json!("midi"), head("mp3"), "audio/mpeg"),
        (json!("mp3"), head("wav"), "audio/wav"),
        (json!(null), head("m4a"), "audio/mp4"),
        (json!(""), head("unknown"), "audio/wav"),
        (json!("mp3"), format!("data:audio/undefined;base64,{}", head("unknown")), "audio/mpeg"),
    ] {
        let sent = parts("gemini-3.8-flash", &sound(&data, format.clone()));
        assert_eq!(sent[0]["inlineData"]["mimeType"], expected, "{format} {data}");
    }
}

#[test]
fn documents_of_every_kind() {
    for (told, filename, data, expected) in [
        ("application/ogg", "", "AAAA".to_owned(), "audio/ogg"),
        ("application/csv", "", "AAAA".to_owned(), "text/csv"),
        ("application/x-ndjson", "", "AAAA".to_owned(), "text/plain"),
        ("application/octet-stream", "a.aiff", "AAAA".to_owned(), "audio/aiff"),
        ("application/octet-stream", "a.tsx", "AAAA".to_owned(), "text/plain"),
        ("application/octet-stream", "a.flv", "AAAA".to_owned(), "video/x-flv"),
        ("application/octet-stream", "a.csv", head("pdf"), "application/pdf"),
        ("", "notes", STANDARD.encode("Grüße"), "text/plain"),
    ] {
        let file = json!([{"type": "file", "file": {"file_data": format!("data:{told};base64,{data}"), "filename": filename}}]);
        let sent = parts("gemini-3.8-flash", &file);
        assert_eq!(sent[0]["inlineData"]["mimeType"], expected, "{told} {filename}");
    }
    let unknown = json!({"type": "file", "file": {"file_data": head("unknown"), "filename": "x"}});
    assert_eq!(refused(&unknown), ("messages[0].content[0].file.file_data".to_owned(), "invalid_value"));
}

#[test]
fn what_clients_leave_around_it_does_no_harm() {
    let png = head("png");
    for url in [
        format!(" data:image/png;base64,{png}\n"),
        format!("\u{feff}data:image/png;base64,{png}"),
        format!("data:image/png,base64,{png}"),
        format!("data:image/png;base64,{}====", png.trim_end_matches('=')),
        png.clone(),
    ] {
        let sent = parts("gemini-3.5-flash", &json!([image(&url)]));
        assert_eq!(sent, json!([{"inlineData": {"mimeType": "image/png", "data": png}}]), "{url}");
    }
    let address = json!([{"type": "file", "file": {"file_data": " https://example.com/a.pdf "}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": address}]}).to_string();
    let remote = remote_media(&ChatRequest::parse(body.as_bytes()).unwrap());
    assert_eq!(remote[0].url, "https://example.com/a.pdf");
    // An empty text says no more than none at all.
    for file in [
        json!({"file_data": "", "file_id": "files/abc"}),
        json!({"file_data": null, "file_id": " files/abc ", "filename": "", "format": ""}),
    ] {
        let sent = parts("gemini-3.5-flash", &json!([{"type": "file", "file": file}]));
        assert!(sent[0]["fileData"]["fileUri"].as_str().unwrap().ends_with("/files/abc"), "{file}");
    }
}

#[test]
fn sound_is_sound_in_whatever_file() {
    let webm = STANDARD.encode(b"\x1a\x45\xdf\xa3abcdefgh");
    let film = STANDARD.encode(b"\0\0\0\x18ftypisom\0\0");
    for (data, format, expected) in [
        (&webm, "wav", "audio/webm"),
        (&webm, "unheard-of", "audio/webm"),
        (&webm, "", "audio/webm"),
        (&film, "mp3", "audio/mp4"),
        (&film, "", "audio/mp4"),
        (&film, "mp4", "audio/mp4"),
        (&head("mp3"), "wav", "audio/mpeg"),
        (&head("unknown"), "mp4a-latm", "audio/mp4"),
        (&head("unknown"), "mp2", "audio/mpeg"),
    ] {
        let part = json!([{"type": "input_audio", "input_audio": {"data": data, "format": format}}]);
        let sent = parts("gemini-3.5-flash", &part);
        assert_eq!(sent[0]["inlineData"]["mimeType"], expected, "{format}");
    }
}

#[test]
fn what_is_no_base64_never_goes_on_as_such() {
    let file = |data: &str| json!({"type": "file", "file": {"file_data": data, "filename": "a.pdf"}});
    let sound = |data: &str| json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}});
    for data in [
        "hello world!",
        "gs://bucket/a.pdf",
        "file:///etc/passwd",
        "A",
        "",
        "data:application/pdf;base64,%%%",
    ] {
        assert_eq!(
            refused(&file(data)),
            ("messages[0].content[0].file.file_data".to_owned(), "invalid_value"),
            "{data}"
        );
        assert_eq!(
            refused(&sound(data)),
            ("messages[0].content[0].input_audio.data".to_owned(), "invalid_value"),
            "{data}"
        );
    }
    let broken = image("data:image/png;base64,https://a.example/b.png");
    assert_eq!(refused(&broken).1, "invalid_image_url");
    // An address follows the rule of images, wherever it is.
    let address = "https://example.com/a.pdf";
    for (part, field) in [
        (file(address), "file.file_data"),
        (sound(address), "input_audio.data"),
        (json!({"type": "audio_url", "audio_url": {"url": address}}), "audio_url.url"),
        (json!({"type": "audio_url", "audio_url": address}), "audio_url.url"),
    ] {
        let place = format!("messages[0].content[0].{field}");
        assert_eq!(refused(&part), (place.clone(), "invalid_image_url"), "{part}");
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]}).to_string();
        let remote = remote_media(&ChatRequest::parse(body.as_bytes()).unwrap());
        assert_eq!(remote, [RemoteMedia { param: place, url: address.to_owned() }]);
    }
    let stored = parts(
        "gemini-3.8-flash",
        &json!([file("https://generativelanguage.googleapis.com/v1beta/files/abc")]),
    );
    assert_eq!(
        stored[0]["fileData"]["fileUri"],
        "https://generativelanguage.googleapis.com/v1beta/files/abc"
    );
    for prefix in ["data:application/pdf;base64,", "DATA:;base64,data:application/pdf;base64,"] {
        let sent = parts("gemini-3.8-flash", &json!([file(&format!("{prefix}{}", head("pdf")))]));
        assert_eq!(
            sent[0]["inlineData"],
            json!({"mimeType": "application/pdf", "data": head("pdf")}),
            "{prefix}"
        );
    }
    let sound = json!([{"type": "audio_url", "audio_url": {"url": format!("data:audio/mpeg;base64,{}", head("mp3"))}}]);
    assert_eq!(parts("gemini-3.8-flash", &sound)[0]["inlineData"]["mimeType"], "audio/mpeg");
}
