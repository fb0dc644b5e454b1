//! Request and response conversions without a service.

use std::hint::black_box;

use pool_translate::gemini::ModelId;
use pool_translate::openai::ChatRequest;
use pool_translate::{
    AnswerModel, ChatStream, Envelope, GeminiCall, TranslateOptions, chat_response, to_gemini,
};

use crate::bodies;

/// A repeatable conversion.
pub type Translation = Box<dyn Fn()>;

fn translate(body: &[u8]) -> GeminiCall {
    let request = ChatRequest::parse(body).unwrap();
    let model = ModelId::parse(request.model()).unwrap();
    to_gemini(&request, &model, &TranslateOptions::default()).unwrap()
}

fn envelope() -> Envelope {
    Envelope { seed: 1, created_s: 1, model: AnswerModel::Requested(bodies::MODEL.to_owned()) }
}

fn request(body: Vec<u8>) -> Translation {
    Box::new(move || drop(black_box(translate(black_box(&body)))))
}

/// Returns every conversion by name.
#[must_use]
pub fn all() -> Vec<(&'static str, Translation)> {
    let context = translate(&bodies::conversation(1, false)).context;
    let answer = bodies::answer(4096);
    let events = bodies::stream(1000);
    let for_stream = context.clone();
    vec![
        ("request 4 KB", request(bodies::conversation(4 << 10, false))),
        ("request 100 KB", request(bodies::conversation(100 << 10, false))),
        ("request of an agent", request(bodies::agent(10))),
        ("request with a picture of 1 MB", request(bodies::picture(1 << 20))),
        (
            "answer 4 KB",
            Box::new(move || drop(black_box(chat_response(black_box(&answer), &context, &envelope())))),
        ),
        (
            "stream of 1,000 events",
            Box::new(move || {
                let mut stream = ChatStream::new(for_stream.clone(), envelope());
                let mut out = Vec::new();
                for event in black_box(&events) {
                    out.clear();
                    stream.push(event, &mut out).unwrap();
                }
                drop(black_box(stream.finish(&mut out)));
            }),
        ),
    ]
}
