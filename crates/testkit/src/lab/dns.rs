//! The lab's DNS server: UDP, one question a message (RFC 1035), one name that it knows.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time until a server that is to end notices it.
const POLL: Duration = Duration::from_millis(100);
/// Bytes of a message's header.
const HEADER: usize = 12;
/// Record types (RFC 1035, RFC 3596).
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// The behaviour of the lab's DNS server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dns {
    /// It answers A and AAAA questions.
    #[default]
    Answers,
    /// It drops AAAA questions, as some old home routers do.
    DropsAaaa,
    /// It knows no name: NXDOMAIN.
    KnowsNothing,
    /// It drops every question.
    Silent,
}

/// The server's one name and its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    pub(super) name: &'static str,
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
}

/// A running server; it ends with this value.
#[derive(Debug)]
pub(super) struct DnsServer {
    behaviour: Arc<Mutex<Dns>>,
    questions: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Answers on `socket`, from whichever namespace it is.
    pub(super) fn start(socket: UdpSocket, zone: Zone) -> Self {
        socket.set_read_timeout(Some(POLL)).expect("a time-out");
        let behaviour = Arc::new(Mutex::new(Dns::default()));
        let questions = Arc::new(AtomicUsize::new(0));
        let ends = Arc::new(AtomicBool::new(false));
        let shared = (behaviour.clone(), questions.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            let (behaviour, questions, ends) = shared;
            let mut bytes = [0; 1500];
            while !ends.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else {
                    continue;
                };
                questions.fetch_add(1, Ordering::Relaxed);
                let behaviour = *behaviour.lock().unwrap();
                if let Some(reply) = answer(&bytes[..length], behaviour, zone) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Self {
            behaviour,
            questions,
            ends,
            thread: Some(thread),
        }
    }

    pub(super) fn set(&self, behaviour: Dns) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub(super) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns the reply to a question; `None` if there is to be none.
fn answer(message: &[u8], behaviour: Dns, zone: Zone) -> Option<Vec<u8>> {
    let (name, end) = question_name(message)?;
    let number = |at: usize| {
        Some(u16::from_be_bytes([
            *message.get(at)?,
            *message.get(at + 1)?,
        ]))
    };
    let kind = number(end)?;
    let is_dropped = behaviour == Dns::DropsAaaa && kind == TYPE_AAAA;
    if behaviour == Dns::Silent || is_dropped {
        return None;
    }
    let is_known = behaviour != Dns::KnowsNothing && name.eq_ignore_ascii_case(zone.name);
    let address = match kind {
        TYPE_A => zone.v4.map(|v4| v4.octets().to_vec()),
        TYPE_AAAA => zone.v6.map(|v6| v6.octets().to_vec()),
        _ => None,
    };
    let address = address.filter(|_| is_known);
    // A response, authoritative, recursion desired and available; NXDOMAIN is 3.
    let flags: u16 = 0x8580 | if is_known { 0 } else { 3 };
    let mut reply = message[..2].to_vec();
    for field in [flags, 1, u16::from(address.is_some()), 0, 0] {
        reply.extend(field.to_be_bytes());
    }
    reply.extend(&message[HEADER..end + 4]);
    if let Some(address) = address {
        // The name is a pointer to the question's; class IN; to be kept for no time.
        for field in [0xC00C, kind, 1, 0, 0, address.len() as u16] {
            reply.extend(field.to_be_bytes());
        }
        reply.extend(address);
    }
    Some(reply)
}

/// Returns a message's first name, and the place after it; `None` if the message is too short.
fn question_name(message: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (HEADER, Vec::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            // Type and class follow.
            message.get(at + 3)?;
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).into_owned());
        at += length;
    }
}
