//! What goes out on one stream of the link without holding the loop up: one message is on its way, a
//! bounded number waits.

use std::collections::VecDeque;
use std::pin::Pin;

use etatuki_link::{ClipboardOut, ControlOut, LinkError, PictureOut};
use etatuki_picture::EncodedChunk;
use etatuki_protocol::ToAgent;

/// Bytes of a chunk that are compressed and sent at a time.
const PIECE: usize = 1 << 20;

/// A stream that sends one message after the other.
pub(crate) trait Sends: Sized + Send + 'static {
    /// What it sends.
    type Message: Send + 'static;

    /// What is known of one that has left.
    type Receipt: Send + 'static;

    /// Sends one, and gives the stream back.
    fn carry(
        self,
        message: Self::Message,
    ) -> impl Future<Output = (Self, Result<Self::Receipt, LinkError>)> + Send;
}

type Flight<S> =
    Pin<Box<dyn Future<Output = (S, Result<<S as Sends>::Receipt, LinkError>)> + Send>>;

/// A stream with its waiting messages.
pub(crate) struct Outbox<S: Sends> {
    ground: Option<S>,
    flight: Option<Flight<S>>,
    queue: VecDeque<S::Message>,
    limit: usize,
}

/// The other side hasn't taken in anything for a long time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<S: Sends> Outbox<S> {
    /// At most `limit` messages wait.
    pub(crate) fn new(stream: S, limit: usize) -> Self {
        Self {
            ground: Some(stream),
            flight: None,
            queue: VecDeque::new(),
            limit,
        }
    }

    /// Whether everything has left: the link would take something now.
    pub(crate) fn is_idle(&self) -> bool {
        self.ground.is_some() && self.queue.is_empty()
    }

    /// Puts a message behind the others.
    pub(crate) fn push(&mut self, message: S::Message) -> Result<(), Full> {
        if self.queue.len() >= self.limit {
            return Err(Full);
        }
        self.queue.push_back(message);
        self.take_off();
        Ok(())
    }

    /// Puts a message in the place of all that wait.
    pub(crate) fn replace(&mut self, message: S::Message) {
        self.queue.clear();
        self.queue.push_back(message);
        self.take_off();
    }

    /// Waits until one more message has left; for ever if there is none. Cancel safe.
    pub(crate) async fn sent(&mut self) -> Result<S::Receipt, LinkError> {
        let Some(flight) = &mut self.flight else {
            return std::future::pending().await;
        };
        let (stream, result) = flight.as_mut().await;
        self.flight = None;
        self.ground = Some(stream);
        self.take_off();
        result
    }

    /// Waits until all have left.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while !self.is_idle() {
            self.sent().await?;
        }
        Ok(())
    }

    fn take_off(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let Some(stream) = self.ground.take() else {
            return;
        };
        if let Some(message) = self.queue.pop_front() {
            self.flight = Some(Box::pin(stream.carry(message)));
        }
    }
}

impl Sends for ControlOut<ToAgent> {
    type Message = ToAgent;
    type Receipt = ();

    async fn carry(mut self, message: ToAgent) -> (Self, Result<(), LinkError>) {
        let result = self.send(&message).await;
        (self, result)
    }
}

impl Sends for PictureOut {
    type Message = EncodedChunk;
    /// Bytes on the line.
    type Receipt = usize;

    async fn carry(mut self, chunk: EncodedChunk) -> (Self, Result<usize, LinkError>) {
        let mut bytes = 0;
        for (piece, is_packed) in pieces(&chunk) {
            let sent = if is_packed {
                self.send_packed(piece).await
            } else {
                self.send(piece).await
            };
            match sent {
                Ok(sent) => bytes += sent,
                Err(error) => return (self, Err(error)),
            }
        }
        (self, Ok(bytes))
    }
}

/// What of a chunk is sent at a time, and whether it is packed already. What is compressed of a first picture travels, and
/// is forgotten, while the rest is being compressed.
fn pieces(chunk: &EncodedChunk) -> impl Iterator<Item = (&[u8], bool)> {
    let (plain, packed) = chunk.split_at(chunk.incompressible_from);
    let plain = plain.chunks(PIECE).map(|piece| (piece, false));
    plain.chain(packed.chunks(PIECE).map(|piece| (piece, true)))
}

impl Sends for ClipboardOut {
    type Message = String;
    type Receipt = ();

    async fn carry(mut self, message: String) -> (Self, Result<(), LinkError>) {
        let result = self.send(&message).await;
        (self, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    /// A stream whose credit the test gives out.
    struct Slow {
        credit: Arc<Semaphore>,
        arrived: Arc<Mutex<Vec<u32>>>,
    }

    impl Sends for Slow {
        type Message = u32;
        type Receipt = ();

        async fn carry(self, message: u32) -> (Self, Result<(), LinkError>) {
            let Ok(()) = self.credit.acquire().await.map(|permit| permit.forget()) else {
                return (self, Err(LinkError::Lost));
            };
            self.arrived.lock().unwrap().push(message);
            (self, Ok(()))
        }
    }

    fn outbox(limit: usize) -> (Outbox<Slow>, Arc<Semaphore>, Arc<Mutex<Vec<u32>>>) {
        let (credit, arrived) = (Arc::new(Semaphore::new(0)), Arc::default());
        let slow = Slow {
            credit: Arc::clone(&credit),
            arrived: Arc::clone(&arrived),
        };
        (Outbox::new(slow, limit), credit, arrived)
    }

    #[test]
    fn a_large_block_goes_in_pieces() {
        let bytes: Vec<u8> = (0..3 * PIECE).map(|at| (at % 251) as u8).collect();
        for incompressible_from in [0, 9, PIECE, PIECE + 9, bytes.len()] {
            let chunk = EncodedChunk {
                bytes: bytes.clone(),
                incompressible_from,
            };
            let (mut plain, mut packed) = (Vec::new(), Vec::new());
            for (piece, is_packed) in pieces(&chunk) {
                assert!((1..=PIECE).contains(&piece.len()));
                let of = if is_packed { &mut packed } else { &mut plain };
                of.extend_from_slice(piece);
            }
            assert!(
                plain == bytes[..incompressible_from] && packed == bytes[incompressible_from..]
            );
        }
        assert_eq!(pieces(&EncodedChunk::default()).count(), 0);
    }

    #[tokio::test]
    async fn messages_leave_in_order_and_wait_without_credit() {
        let (mut outbox, credit, arrived) = outbox(2);
        assert!(outbox.is_idle());
        for message in [1, 2, 3] {
            assert_eq!(outbox.push(message), Ok(()));
        }
        assert_eq!(outbox.push(4), Err(Full));
        credit.add_permits(3);
        assert_eq!(outbox.flush().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1, 2, 3]);
        assert!(outbox.is_idle());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let (mut outbox, credit, arrived) = outbox(9);
        outbox.push(1).unwrap();
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = outbox.sent() => panic!("there is no credit"),
                () = std::future::ready(()) => {}
            }
        }
        credit.add_permits(1);
        assert_eq!(outbox.sent().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1]);
    }

    #[tokio::test]
    async fn the_newest_takes_the_place_of_what_waits() {
        let (mut outbox, credit, arrived) = outbox(1);
        for message in [1, 2, 3] {
            outbox.replace(message);
        }
        credit.add_permits(9);
        assert_eq!(outbox.flush().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn the_links_end_is_told() {
        let (mut outbox, credit, _) = outbox(1);
        outbox.push(1).unwrap();
        credit.close();
        assert_eq!(outbox.flush().await, Err(LinkError::Lost));
    }
}
