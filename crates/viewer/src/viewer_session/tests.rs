//! The state machine of `ViewerSession`: a test for each edge of the drawing.

use etatuki_rfb::{Rect, ServerInit};

use super::*;

const SIZE: (u16, u16) = (40, 20);

fn desktop() -> RemoteDesktop {
    RemoteDesktop::new(ServerInit {
        width: SIZE.0,
        height: SIZE.1,
        format: PixelFormat::BGRX,
        name: String::new(),
    })
}

fn request() -> ClientMessage {
    ClientMessage::UpdateRequest {
        incremental: true,
        rect: full_rect(SIZE),
    }
}

fn dot() -> ServerMessage {
    ServerMessage::Rectangle(Rectangle::Raw {
        rect: Rect::new(0, 0, 1, 1),
        pixels: vec![1, 2, 3, 0],
    })
}

fn resize() -> ServerMessage {
    ServerMessage::Rectangle(Rectangle::DesktopSize {
        width: 7,
        height: 5,
    })
}

/// Returns a rectangle with more pixels than an update may have.
fn too_many_pixels() -> ServerMessage {
    ServerMessage::Rectangle(Rectangle::Raw {
        rect: Rect::new(0, 0, 2049, 2048),
        pixels: vec![0; 2049 * 2048 * 4],
    })
}

/// A session under test.
struct Harness(ViewerSession);

impl Harness {
    /// Creates the session of a viewer that has sent its first request: in `Idle`, and ready.
    fn idle(encodings: &[i32]) -> Self {
        let mut harness = Self(ViewerSession::new(SIZE, PointerReports::IfAnnounced));
        harness.0.viewer.set_encodings(encodings);
        harness.client(request());
        assert_eq!(harness.0.state, State::Idle);
        harness
    }

    /// Creates the session of a viewer whose request was answered: in `Idle`, and busy.
    fn busy() -> Self {
        let mut harness = Self::idle(&[encoding::DESKTOP_SIZE]);
        harness.update(&[]);
        harness
    }

    /// Creates the session of a busy viewer for which an update waits.
    fn waiting() -> Self {
        let mut harness = Self::busy();
        assert_eq!(harness.update(&[dot()]), 0);
        assert_eq!(harness.0.state, State::Waiting);
        harness
    }

    fn client(&mut self, message: ClientMessage) -> usize {
        let control = Control::Denied;
        let handled = self.0.on_client_message(message, &desktop(), control);
        handled.expect("the viewer can follow");
        self.sent()
    }

    fn server(&mut self, message: &ServerMessage) -> usize {
        let handled = self.0.on_server_message(message);
        handled.expect("the viewer can follow");
        self.sent()
    }

    fn update(&mut self, rectangles: &[ServerMessage]) -> usize {
        let start = self.server(&ServerMessage::UpdateStart);
        let middle: usize = rectangles.iter().map(|one| self.server(one)).sum();
        start + middle + self.server(&ServerMessage::UpdateEnd)
    }

    /// Returns the number of bytes that were sent since the last call.
    fn sent(&mut self) -> usize {
        let mut bytes = Vec::new();
        self.0.take_output(&mut bytes);
        bytes.len()
    }

    #[track_caller]
    fn check(&self, state: State) {
        assert_eq!(self.0.state, state);
    }
}

#[test]
fn the_first_request_ends_the_greeting() {
    let mut harness = Harness(ViewerSession::new(SIZE, PointerReports::IfAnnounced));
    assert_eq!(harness.update(&[dot()]), 0);
    harness.check(State::Greeting);
    harness.client(request());
    harness.check(State::Idle);
}

#[test]
fn an_update_streams_to_a_ready_viewer_with_last_rect() {
    let mut harness = Harness::idle(&[encoding::LAST_RECT]);
    harness.server(&ServerMessage::UpdateStart);
    harness.check(State::Streaming { rectangles: 0 });
    assert!(harness.server(&dot()) > 0);
    harness.check(State::Streaming { rectangles: 1 });
    harness.server(&ServerMessage::UpdateEnd);
    harness.check(State::Idle);
}

#[test]
fn a_streamed_update_with_too_many_rectangles_is_collected() {
    let mut harness = Harness::idle(&[encoding::LAST_RECT]);
    harness.server(&ServerMessage::UpdateStart);
    for _ in 0..MAX_RECTANGLES {
        harness.server(&dot());
    }
    harness.check(State::Collecting);
}

#[test]
fn an_update_is_collected_for_a_busy_viewer_or_one_without_last_rect() {
    for mut harness in [Harness::idle(&[]), Harness::busy()] {
        harness.server(&ServerMessage::UpdateStart);
        harness.check(State::Collecting);
    }
    let mut harness = Harness::idle(&[encoding::LAST_RECT]);
    harness.update(&[]);
    harness.server(&ServerMessage::UpdateStart);
    harness.check(State::Collecting);
}

#[test]
fn the_rest_of_an_update_is_collected() {
    let mut harness = Harness(ViewerSession::new(SIZE, PointerReports::IfAnnounced));
    harness.server(&ServerMessage::UpdateStart);
    harness.client(request());
    harness.check(State::Idle);
    assert_eq!(harness.server(&dot()), 0);
    harness.check(State::Collecting);
    assert!(harness.server(&ServerMessage::UpdateEnd) > 0);
    harness.check(State::Idle);
}

#[test]
fn a_collected_update_is_sent_to_a_ready_viewer() {
    let mut harness = Harness::idle(&[]);
    assert!(harness.update(&[dot()]) > 0);
    harness.check(State::Idle);
}

#[test]
fn a_full_update_is_sent_at_once() {
    let mut harness = Harness::busy();
    harness.server(&ServerMessage::UpdateStart);
    assert!(harness.server(&too_many_pixels()) > 0);
    harness.check(State::Collecting);
}

#[test]
fn a_collected_update_waits_for_a_busy_viewer() {
    let mut harness = Harness::waiting();
    assert!(harness.client(request()) > 0);
    harness.check(State::Idle);
}

#[test]
fn the_next_update_is_appended_to_the_waiting_one() {
    let mut harness = Harness::waiting();
    harness.server(&ServerMessage::UpdateStart);
    harness.check(State::Appending);
    assert_eq!(harness.server(&dot()), 0);
    harness.check(State::Appending);
    harness.server(&ServerMessage::UpdateEnd);
    harness.check(State::Waiting);
}

#[test]
fn an_appended_update_is_sent_to_a_viewer_that_became_ready() {
    let mut harness = Harness::waiting();
    harness.server(&ServerMessage::UpdateStart);
    // The request alone sends nothing: the update isn't complete.
    assert_eq!(harness.client(request()), 0);
    harness.check(State::Appending);
    assert!(harness.server(&ServerMessage::UpdateEnd) > 0);
    harness.check(State::Idle);
}

#[test]
fn nothing_is_appended_to_a_full_update_nor_a_resize_to_pixels() {
    for rectangle in [too_many_pixels(), resize()] {
        let mut harness = Harness::waiting();
        harness.server(&ServerMessage::UpdateStart);
        assert!(harness.server(&rectangle) > 0);
        harness.check(State::Collecting);
    }
}
