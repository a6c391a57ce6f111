//! A customer's side that sends a picture made to keep the console busy.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{TestEnvironment, connect_viewer, console, told};
use etatuki_picture::JpegEncoder;
use etatuki_protocol::{Permissions, ToAgent, ToCustomer};
use etatuki_rfb::{ClientMessage, Rect, encode};
use etatuki_trust::CodeForm;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

/// Columns, and rows, of the screen: the largest picture that one JPEG may have.
const SCREEN_SIDE: u16 = 2048;

/// Returns a block of as many whole pictures as fit: a few hundred kilobytes, and gigabytes of pixels.
fn block_of_jpegs() -> Vec<u8> {
    let whole = Rect::new(0, 0, SCREEN_SIDE, SCREEN_SIDE);
    let stride = usize::from(SCREEN_SIDE) * 4;
    let pixels = vec![0x80; stride * usize::from(SCREEN_SIDE)];
    let mut encoder = JpegEncoder::default();
    let file = encoder.encode(&pixels, stride, whole, 1).unwrap().to_vec();
    let count = (1 << 20) / file.len();
    let mut block = Vec::new();
    encode::server::update_start(&mut block, Some(count as u16));
    for _ in 0..count {
        assert!(encode::server::jpeg(&mut block, whole, &file));
    }
    block
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_ends_a_session_whose_picture_keeps_the_console_busy() {
    let environment = TestEnvironment::new().await;
    let waiting = environment.customer(CodeForm::SingleCode).await;
    let mut join = Command::new(console())
        .args(["join", "--vnc", "127.0.0.1:0", "--service"])
        .arg(&environment.service.url)
        .arg("--agent")
        .arg(environment.agent_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = join.stdin.take().unwrap();
    let mut output = BufReader::new(join.stdout.take().unwrap()).lines();
    input.write_all(waiting.lines().as_bytes()).await.unwrap();
    let mut customer = waiting.connected().await;
    let ready: Value = serde_json::from_str(&output.next_line().await.unwrap().unwrap()).unwrap();
    let permissions = Permissions {
        view: true,
        control: false,
    };
    customer
        .send_control(ToAgent::Permissions(permissions))
        .await;
    customer.begin_picture(SCREEN_SIDE, SCREEN_SIDE).await;
    let viewer = connect_viewer(&ready).await;
    tokio::spawn(async move { while viewer.recv_event().await.is_ok() {} });
    while !matches!(customer.input().await, ClientMessage::UpdateRequest { .. }) {}

    // It never stops; so the end comes in the middle of it, or not at all.
    let mut picture = customer.streams.picture_out;
    let (begun, mut is_busy) = tokio::sync::mpsc::channel(1);
    let flood = tokio::spawn(async move {
        let block = block_of_jpegs();
        while picture.send(&block).await.is_ok() {
            let _ = begun.try_send(());
        }
    });
    is_busy.recv().await.unwrap();
    input.write_all(b"end\n").await.unwrap();
    let mut control_in = customer.streams.control_in;
    let end = told(&mut control_in);
    let end = tokio::time::timeout(Duration::from_secs(60), end).await;
    let end = end.expect("the session ends");
    assert_eq!(end, Some(ToCustomer::End));
    customer.streams.connection.close("agent-ended");
    flood.await.unwrap();
    while output.next_line().await.unwrap().is_some() {}
    assert!(join.wait().await.unwrap().success());
}
