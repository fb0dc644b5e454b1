use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_a_connection_does_decides_how_long_it_may() {
    let used = Seen { is_used: true, idle_since: s(100), ..Seen::default() };
    let running = Seen { requests: 1, ..used };
    for (seen, expected, what) in [
        (Seen::default(), Some(15), "silent from the beginning"),
        (Seen { head_since: Some(s(14)), ..Seen::default() }, Some(15), "a first head that trickles"),
        (used, Some(175), "between requests"),
        (Seen { head_since: Some(s(120)), ..used }, Some(135), "a later head that trickles"),
        (Seen { head_since: Some(s(120)), is_http2: true, ..used }, Some(175), "pings are no request"),
        (running, None, "a request waits for Gemini"),
        (Seen { head_since: Some(s(120)), ..running }, None, "its body is read elsewhere"),
        (Seen { blocked_since: Some(s(130)), ..running }, Some(190), "nobody takes the response"),
        (Seen { blocked_since: Some(s(130)), ..used }, Some(175), "nor its end"),
        (Seen { stalled_since: Some(s(50)), is_http2: true, ..running }, Some(110), "a closed window"),
    ] {
        assert_eq!(deadline(&seen), expected.map(s), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_and_bytes_are_noted() {
    let activity = Arc::new(Activity::new(Arc::default()));
    let opened = Instant::now();
    let left = || activity.deadline().map(|at| at.duration_since(opened));
    assert_eq!(left(), Some(s(15)));
    let running = activity.request(false);
    assert_eq!((left(), activity.waiting_since()), (None, None));
    tokio::time::advance(s(500)).await;
    activity.has_read();
    activity.has_written(None);
    assert_eq!(left(), Some(s(560)));
    activity.has_written(Some(1));
    assert_eq!(left(), None);
    drop(running);
    assert_eq!(left(), Some(s(575)));
    tokio::time::advance(s(70)).await;
    activity.has_read();
    assert_eq!(left(), Some(s(585)));
    drop(activity.request(true));
    assert_eq!(left(), Some(s(645)), "570 s and 75");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_only_when_the_last_byte_of_its_response_has_gone_out() {
    for is_http2 in [false, true] {
        let activity = Arc::new(Activity::new(Arc::default()));
        let opened = Instant::now();
        let left = || activity.deadline().map(|at| at.duration_since(opened));
        // All of a long response is buffered, and taken slowly.
        drop(activity.request(is_http2));
        for _ in 0..10 {
            activity.has_written(None);
            tokio::time::advance(s(50)).await;
            assert_eq!(activity.waiting_since(), None, "it makes no room");
            activity.has_written(Some(16 * 1024));
        }
        assert_eq!(left(), Some(s(575)));
        assert_eq!(activity.waiting_since(), Some(opened + s(500)));
        // Nothing of it is taken any more.
        activity.has_written(None);
        tokio::time::advance(s(30)).await;
        assert_eq!(left(), Some(s(560)));
    }
    let activity = Arc::new(Activity::new(Arc::default()));
    drop(activity.request(true));
    tokio::time::advance(s(70)).await;
    activity.has_written(Some(17));
    assert_eq!(activity.deadline().unwrap(), Instant::now() + s(5), "the response to a ping");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_never_opens_ends_the_connection() {
    let activity = Arc::new(Activity::new(Arc::default()));
    let body = http_body_util::Full::new(Bytes::from_static(b"response"));
    let mut response = WatchedBody::new(body, activity.request(true));
    assert_eq!(activity.deadline(), Some(Instant::now() + WRITE_TIMEOUT));
    tokio::time::advance(s(30)).await;
    let piece = std::future::poll_fn(|context| Pin::new(&mut response).poll_frame(context)).await;
    assert!(piece.unwrap().is_ok());
    assert_eq!(activity.deadline(), Some(Instant::now() + WRITE_TIMEOUT));
    // A stream that has no piece yet waits for Gemini, not for its client.
    let endless =
        http_body_util::StreamBody::new(futures_util::stream::pending::<io::Result<Frame<Bytes>>>());
    drop(response);
    let mut response = WatchedBody::new(endless, activity.request(true));
    let polled =
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut response).poll_frame(context))).await;
    assert!(polled.is_pending());
    assert_eq!(activity.deadline(), None);
}
