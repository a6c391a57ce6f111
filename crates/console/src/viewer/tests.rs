//! The viewer's side with real peers: a VNC client over TCP, and the customer's side at the hub.

use std::sync::Arc;

use etatuki_protocol::{ClipboardText, InputMessage, MAX_CLIPBOARD};
use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, Rect, Security, ServerInit,
    encode::{self, fence_flags},
};
use etatuki_viewer::fence_reply;
use tokio::net::{TcpListener, TcpStream};
use vnc::{VncClient, VncConnector, VncEncoding, VncEvent};
use zeroize::Zeroizing;

use super::*;

mod jpeg;

const SIZE: (u16, u16) = (40, 20);
const RGBX: PixelFormat = PixelFormat {
    red_shift: 0,
    blue_shift: 16,
    ..PixelFormat::BGRX
};

fn init() -> ServerInit {
    let (width, height) = SIZE;
    ServerInit {
        width,
        height,
        format: PixelFormat::BGRX,
        name: "desktop".into(),
    }
}

/// A customer's side that answers every request with the whole `screen`.
struct Customer {
    hub: Arc<ViewerHub>,
    reader: PictureReader,
    input: tokio::sync::mpsc::Receiver<InputMessage>,
    parser: ClientParser,
    screen: Vec<u8>,
}

impl Customer {
    async fn new() -> Self {
        let (hub, ToLink { input, .. }) = ViewerHub::new();
        let pixels = 0..usize::from(SIZE.0) * usize::from(SIZE.1);
        let screen = pixels
            .flat_map(|at| [at as u8, (at >> 3) as u8, (at * 7) as u8, 0])
            .collect();
        let hub = Arc::new(hub);
        let parser = ClientParser::new(Limits::default());
        let mut customer = Self {
            hub,
            reader: PictureReader::default(),
            input,
            parser,
            screen,
        };
        customer.begin_picture().await;
        customer
    }

    async fn begin_picture(&mut self) {
        let mut first = Vec::new();
        encode::server::server_init(&mut first, &init());
        // In two parts: a block may end inside a message.
        for piece in first.chunks(25) {
            self.reader.read_block(&self.hub, piece).await.unwrap();
        }
    }

    /// Goes on over a new link.
    async fn resume(&mut self) {
        let ToLink { input, .. } = self.hub.open_link();
        self.input = input;
        self.parser = ClientParser::new(Limits::default());
        self.reader = PictureReader::default();
        self.begin_picture().await;
    }

    /// Waits for the next message from the viewer's side.
    async fn next(&mut self) -> ClientMessage {
        loop {
            if let Some(message) = self.parser.next().unwrap() {
                return message;
            }
            if let InputMessage::Rfb(bytes) = self.input.recv().await.unwrap() {
                self.parser.push(&bytes);
            }
        }
    }

    /// Waits for a request for the whole picture and answers it.
    async fn answer_request(&mut self) {
        while !matches!(
            self.next().await,
            ClientMessage::UpdateRequest {
                incremental: false,
                ..
            }
        ) {}
        let (w, h) = SIZE;
        let mut update = Vec::new();
        encode::server::update_start(&mut update, Some(1));
        encode::server::raw_from(
            &mut update,
            Rect::new(0, 0, w, h),
            &self.screen,
            usize::from(w) * 4,
        );
        self.reader.read_block(&self.hub, &update).await.unwrap();
    }
}

/// Connects a real client to the hub. Returns the client and its server's task.
async fn client(
    hub: &Arc<ViewerHub>,
    security: Security,
    password: &'static str,
) -> (
    VncClient,
    tokio::task::JoinHandle<Result<ViewerExit, ViewerError>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::clone(hub);
    let served = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let (source, sink) = socket.into_split();
        serve(&hub, TcpSource(source), sink, security).await
    });
    let socket = TcpStream::connect(address).await.unwrap();
    let client = VncConnector::new(socket)
        .set_auth_method(async move { Ok(password.to_owned()) })
        .add_encoding(VncEncoding::CopyRect)
        .add_encoding(VncEncoding::Raw)
        .set_pixel_format(vnc::PixelFormat::rgba())
        .build()
        .unwrap()
        .try_start()
        .await
        .unwrap()
        .finish()
        .unwrap();
    (client, served)
}

async fn first_picture(client: &VncClient) -> Vec<u8> {
    loop {
        if let VncEvent::RawImage(_, pixels) = client.recv_event().await.unwrap() {
            return pixels;
        }
    }
}

fn as_rgb(pixels: &[u8]) -> Vec<[u8; 3]> {
    pixels
        .chunks(4)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

fn vnc_auth(password: &str) -> Security {
    Security::VncAuth {
        password: Zeroizing::new(password.into()),
        challenge: [5; 16],
    }
}

#[tokio::test]
async fn a_text_has_its_mark_before_the_input_that_follows_it() {
    let (hub, mut to_link) = ViewerHub::new();
    assert!(!hub.send_clipboard("without control".into()));
    hub.set_control(true);
    assert!(!hub.send_clipboard("x".repeat(MAX_CLIPBOARD + 1)));
    hub.forward_input(b"before".to_vec()).await;
    assert!(hub.send_clipboard("12,50".into()));
    hub.forward_clipboard("euroa".into()).await;
    hub.forward_input(b"after".to_vec()).await;
    drop(hub);
    let mut input = vec![];
    while let Some(message) = to_link.input.recv().await {
        input.push(message);
    }
    let expected = [
        InputMessage::Rfb(b"before".to_vec()),
        InputMessage::ClipboardMark(1),
        InputMessage::ClipboardMark(2),
        InputMessage::Rfb(b"after".to_vec()),
    ];
    assert_eq!(input, expected);
    for (number, text) in [(1, "12,50"), (2, "euroa")] {
        let text = text.to_owned();
        assert_eq!(
            to_link.clipboard.recv().await,
            Some(ClipboardText { number, text })
        );
    }
}

#[tokio::test]
async fn viewers_come_and_go_and_each_sees_the_whole_screen() {
    let mut customer = Customer::new().await;
    let expected: Vec<_> = customer
        .screen
        .chunks(4)
        .map(|pixel| [pixel[2], pixel[1], pixel[0]])
        .collect();
    for security in [Security::None, vnc_auth("secret12")] {
        let hub = Arc::clone(&customer.hub);
        let ((client, served), ()) = tokio::join!(
            client(&hub, security, "secret12"),
            customer.answer_request()
        );
        assert_eq!(as_rgb(&first_picture(&client).await), expected);
        client.close().await.unwrap();
        drop(client);
        assert_eq!(served.await.unwrap().unwrap(), ViewerExit::Disconnected);
    }
}

/// The link breaks in the middle of an update. The viewer stays; what it sends meanwhile is dropped,
/// and then it gets the whole picture.
#[tokio::test]
async fn a_viewer_goes_on_over_a_resumed_link() {
    let mut customer = Customer::new().await;
    let hub = Arc::clone(&customer.hub);
    hub.set_control(true);
    let ((client, _), ()) =
        tokio::join!(client(&hub, Security::None, ""), customer.answer_request());
    first_picture(&client).await;
    let mut half = Vec::new();
    encode::server::update_start(&mut half, Some(2));
    let rect = Rect::new(0, 0, 4, 4);
    encode::server::raw_from(&mut half, rect, &customer.screen, 16);
    customer.reader.read_block(&hub, &half).await.unwrap();
    hub.interrupt();
    assert!(!hub.is_controlled());
    assert!(!hub.send_clipboard("lost".into()));
    let press = |keycode| {
        let key = vnc::ClientKeyEvent {
            keycode,
            down: true,
        };
        client.input(vnc::X11Event::KeyEvent(key))
    };
    press(0x61).await.unwrap();

    customer.screen.reverse();
    customer.resume().await;
    customer.answer_request().await;
    let pixels = customer.screen.chunks(4);
    let expected: Vec<_> = pixels.map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    // This client asks for nothing by itself.
    client.input(vnc::X11Event::Refresh).await.unwrap();
    while as_rgb(&first_picture(&client).await) != expected {
        client.input(vnc::X11Event::Refresh).await.unwrap();
    }
    hub.set_control(true);
    press(0x62).await.unwrap();
    let typed = loop {
        if let ClientMessage::Key { keysym, .. } = customer.next().await {
            break keysym;
        }
    };
    assert_eq!(typed, 0x62, "the first key was dropped");
}

#[tokio::test]
async fn a_new_viewer_replaces_the_attached_one() {
    let mut customer = Customer::new().await;
    let hub = Arc::clone(&customer.hub);
    hub.set_control(true);
    let ((first, served), ()) =
        tokio::join!(client(&hub, Security::None, ""), customer.answer_request());
    first_picture(&first).await;
    let key = vnc::ClientKeyEvent {
        keycode: 0x61,
        down: true,
    };
    first.input(vnc::X11Event::KeyEvent(key)).await.unwrap();
    while customer.next().await
        != (ClientMessage::Key {
            down: true,
            keysym: 0x61,
        })
    {}
    let ((second, _), ()) = tokio::join!(client(&hub, Security::None, ""), async {
        // The first viewer's key is released before the second viewer is served.
        while customer.next().await
            != (ClientMessage::Key {
                down: false,
                keysym: 0x61,
            })
        {}
        customer.answer_request().await;
    });
    assert_eq!(served.await.unwrap().unwrap(), ViewerExit::Replaced);
    first_picture(&second).await;
    hub.close();
}

#[tokio::test]
async fn a_viewer_with_a_wrong_password_is_not_attached() {
    let customer = Customer::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        let (source, sink) = socket.into_split();
        serve(&customer.hub, TcpSource(source), sink, vnc_auth("secret12")).await
    };
    let trying = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let connector = VncConnector::new(socket)
            .set_auth_method(async { Ok("secret13".to_owned()) })
            .add_encoding(VncEncoding::Raw)
            .build()
            .unwrap();
        connector.try_start().await.is_err()
    };
    let (served, refused) = tokio::join!(serving, trying);
    assert!(
        matches!(served, Err(ViewerError::Protocol(_))),
        "{served:?}"
    );
    assert!(refused);
}

#[tokio::test]
async fn the_end_of_the_session_sends_viewers_away() {
    let customer = Customer::new().await;
    let (client, served) = client(&customer.hub, Security::None, "").await;
    customer.hub.close();
    assert_eq!(served.await.unwrap().ok(), Some(ViewerExit::SessionOver));
    drop(client);
    assert!(customer.hub.attach_viewer().is_none());
}

#[tokio::test]
async fn a_customer_who_sends_rubbish_is_found_out() {
    let (hub, _ends) = ViewerHub::new();
    let mut huge = Vec::new();
    encode::server::server_init(
        &mut huge,
        &ServerInit {
            width: 65_535,
            height: 65_535,
            ..init()
        },
    );
    let mut other_format = Vec::new();
    encode::server::server_init(
        &mut other_format,
        &ServerInit {
            format: RGBX,
            ..init()
        },
    );
    let mut unknown = Vec::new();
    encode::server::server_init(&mut unknown, &init());
    unknown.extend([99; 64]);
    for bytes in [huge, other_format, unknown] {
        assert!(
            PictureReader::default()
                .read_block(&hub, &bytes)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn the_customers_side_hears_when_its_picture_was_taken_in() {
    let mut customer = Customer::new().await;
    let mut bytes = Vec::new();
    encode::server::fence(
        &mut bytes,
        fence_flags::REQUEST | fence_flags::SYNC_NEXT,
        b"x",
    );
    customer
        .reader
        .read_block(&customer.hub, &bytes)
        .await
        .unwrap();
    let answer = fence_reply(fence_flags::SYNC_NEXT, b"x".to_vec());
    assert_eq!(customer.next().await, answer);
}

#[tokio::test]
async fn while_the_viewer_is_far_behind_the_customers_side_hears_nothing() {
    let mut customer = Customer::new().await;
    let hub = Arc::clone(&customer.hub);
    let ((client, served), ()) =
        tokio::join!(client(&hub, Security::None, ""), customer.answer_request());
    first_picture(&client).await;
    // A resize waits alone for the viewer's request. The fence behind it is answered at once, the
    // next one only after that request.
    let mut blocks = Vec::new();
    encode::server::update_start(&mut blocks, Some(1));
    encode::server::desktop_size(&mut blocks, SIZE.0, SIZE.1);
    encode::server::fence(&mut blocks, fence_flags::REQUEST, b"1");
    encode::server::update_start(&mut blocks, Some(0));
    encode::server::fence(&mut blocks, fence_flags::REQUEST, b"2");
    let hub = Arc::clone(&customer.hub);
    let mut reader = std::mem::take(&mut customer.reader);
    let reading = tokio::spawn(async move {
        reader.read_block(&hub, &blocks).await.unwrap();
    });
    while customer.next().await != fence_reply(0, b"1".to_vec()) {}
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    client.input(vnc::X11Event::Refresh).await.unwrap();
    while customer.next().await != fence_reply(0, b"2".to_vec()) {}
    reading.await.unwrap();
    drop(client);
    served.abort();
}
