//! The stream with a tool at its other end that reads only when the test lets it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream as Tool;

use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, Security, ServerHandshake, ServerInit,
};

use super::*;

const A: u32 = 0x61;
const CONTROL: u32 = 0xffe3;

/// Returns a stream whose tool has finished the handshake and reads nothing from then on.
async fn greeted() -> (PluginStream, Tool, ClientParser) {
    let (ours, mut tool) = Tool::pair().expect("a pair");
    let mut stream = PluginStream::new(ours, BackendCapabilities::default()).expect("a stream");
    let init = ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::BGRX,
        name: "tool".into(),
    };
    let greeter = std::thread::spawn(move || {
        let mut server = ServerHandshake::new(init, Security::None);
        let mut bytes = [0; 256];
        while server.step().expect("our client is a good one").is_none() {
            tool.write_all(&server.take_output()).expect("written");
            let read = tool.read(&mut bytes).expect("read");
            server.push(&bytes[..read]);
        }
        tool.write_all(&server.take_output()).expect("written");
        (tool, server.into_rest())
    });
    let opened = stream.next().await.expect("our server is a good one");
    assert_eq!(opened, Some(PluginRfbEvent::Opened));
    let (tool, rest) = greeter.join().expect("no panic");
    let mut heard = ClientParser::new(Limits::default());
    heard.push(&rest);
    (stream, tool, heard)
}

/// Returns all keys and pointer events that the tool ever gets, once it reads again.
async fn acted(
    stream: PluginStream,
    mut tool: Tool,
    mut heard: ClientParser,
) -> Vec<ClientMessage> {
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        tool.read_to_end(&mut bytes).expect("read");
        bytes
    });
    stream.drain_and_close(Duration::from_secs(20)).await;
    heard.push(&reader.join().expect("no panic"));
    let next = || heard.next().expect("our client is a good one");
    let acts = |message: &ClientMessage| {
        matches!(
            message,
            ClientMessage::Key { .. } | ClientMessage::Pointer { .. }
        )
    };
    std::iter::from_fn(next).filter(acts).collect()
}

fn key(down: bool, keysym: u32) -> PluginInput {
    PluginInput::Key { down, keysym }
}

fn pointer(buttons: u16, x: u16) -> PluginInput {
    PluginInput::Pointer { buttons, x, y: 9 }
}

#[tokio::test]
async fn what_a_tool_hasnt_read_when_control_ends_is_never_done() {
    let (mut stream, tool, heard) = greeted().await;
    stream.send_input(key(true, CONTROL));
    for x in 0..5000 {
        stream.send_input(pointer(1, x));
    }
    assert!(stream.is_full(), "the tool reads nothing");
    stream.send_input(key(true, A));
    // The gate has recorded both keys as pressed, and knows nothing of sockets.
    stream.release_input(vec![key(false, A), key(false, CONTROL), pointer(0, 4999)]);

    let acted = acted(stream, tool, heard).await;
    assert!(acted.len() < 100, "{} messages got through", acted.len());
    let a = |down| ClientMessage::Key { down, keysym: A };
    assert!(!acted.contains(&a(true)), "typed after control had ended");
    let released = |keysym| ClientMessage::Key {
        down: false,
        keysym,
    };
    assert!(acted.contains(&released(CONTROL)));
    // The button goes up where the tool has the pointer.
    let moves = acted.iter().filter_map(|message| match message {
        ClientMessage::Pointer { buttons, x, .. } => Some((*buttons, *x)),
        _ => None,
    });
    let moves: Vec<_> = moves.collect();
    let [.., (1, last), (0, up)] = moves[..] else {
        panic!("the button is held: {moves:?}");
    };
    assert_eq!(last, up);
}

/// A full queue that drains over a still screen is an event: nothing else would wake the loop that
/// stopped taking input.
#[tokio::test]
async fn a_full_queue_that_drains_is_told() {
    let (mut stream, mut tool, _) = greeted().await;
    for x in 0..5000 {
        stream.send_input(pointer(0, x));
        if stream.is_full() {
            break;
        }
    }
    assert!(stream.is_full(), "the tool reads nothing");
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        while tool.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    assert_eq!(event.expect("told"), Ok(Some(PluginRfbEvent::InputDrained)));
    assert!(!stream.is_full());
    drop(stream);
    reader.join().expect("no panic");
}

#[tokio::test]
async fn a_release_that_waits_is_not_dropped() {
    let (mut stream, tool, heard) = greeted().await;
    stream.send_input(key(true, CONTROL));
    for x in 0..5000 {
        stream.send_input(pointer(0, x));
    }
    stream.send_input(key(false, CONTROL));
    // For the gate the key is up, so it has nothing to release.
    stream.release_input(vec![]);
    let up = ClientMessage::Key {
        down: false,
        keysym: CONTROL,
    };
    assert!(acted(stream, tool, heard).await.contains(&up));
}

#[tokio::test]
async fn a_text_that_keys_may_paste_stays_before_them() {
    let (mut stream, tool, _heard) = greeted().await;
    let texts = |stream: &PluginStream| stream.queued.iter().filter(|input| is_text(input)).count();
    // Fills the socket.
    stream.send_input(PluginInput::CutText("x".repeat(1 << 20)));
    for round in 1..=2 {
        stream.send_input(PluginInput::CutText("pasted".into()));
        stream.send_input(key(true, A));
        assert_eq!(texts(&stream), round);
    }
    stream.send_input(PluginInput::CutText("one more".into()));
    assert!(stream.is_full(), "texts are long");
    drop(tool);
}

#[tokio::test]
async fn the_newest_text_takes_the_place_of_the_one_that_waits() {
    let (mut stream, tool, _heard) = greeted().await;
    for _ in 0..100 {
        stream.send_input(PluginInput::CutText("x".repeat(1 << 20)));
    }
    assert!(stream.queued.len() <= 1);
    drop(tool);
}
