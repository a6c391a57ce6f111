//! A queue for one outgoing stream of the link, so that sending doesn't hold the event loop up: one
//! message is on its way, and a bounded number waits.

use std::collections::VecDeque;
use std::pin::Pin;

use etatuki_link::{ClipboardOut, ControlOut, LinkError, PictureOut};
use etatuki_picture::EncodedChunk;
use etatuki_protocol::ToAgent;

/// Bytes of a chunk that are compressed and sent at a time.
const MAX_SEGMENT: usize = 1 << 20;

/// A stream that sends one message after another.
pub(crate) trait MessageSink: Sized + Send + 'static {
    /// Message that it sends.
    type Message: Send + 'static;

    /// Facts about a message that has left.
    type Written: Send + 'static;

    /// Sends one message. Returns the stream, and the facts about the message.
    fn transmit(
        self,
        message: Self::Message,
    ) -> impl Future<Output = (Self, Result<Self::Written, LinkError>)> + Send;
}

type SendFuture<S> =
    Pin<Box<dyn Future<Output = (S, Result<<S as MessageSink>::Written, LinkError>)> + Send>>;

/// A stream with the messages that wait for it.
///
/// ```text
///  idle ── push, replace ──▶ in flight ── sent, nothing waits ──▶ idle
///                             │     ▲
///                             └─────┘ sent, the next one starts
/// ```
pub(crate) struct SendQueue<S: MessageSink> {
    /// The stream, while nothing is on its way.
    idle: Option<S>,
    in_flight: Option<SendFuture<S>>,
    waiting: VecDeque<S::Message>,
    capacity: usize,
}

/// The queue is full: the other side has read nothing for a long time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl<S: MessageSink> SendQueue<S> {
    /// Makes a queue in which `capacity` messages may wait.
    pub(crate) fn new(stream: S, capacity: usize) -> Self {
        Self {
            idle: Some(stream),
            in_flight: None,
            waiting: VecDeque::new(),
            capacity,
        }
    }

    /// Returns whether everything has left, so that the link takes the next message at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.is_some() && self.waiting.is_empty()
    }

    /// Appends a message.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn push(&mut self, message: S::Message) -> Result<(), QueueFull> {
        if self.waiting.len() >= self.capacity {
            return Err(QueueFull);
        }
        self.waiting.push_back(message);
        self.start_next();
        Ok(())
    }

    /// Replaces all messages that wait by this one.
    pub(crate) fn replace(&mut self, message: S::Message) {
        self.waiting.clear();
        self.waiting.push_back(message);
        self.start_next();
    }

    /// Waits until one more message has left, or for ever if there is none. Cancel safe.
    pub(crate) async fn next_sent(&mut self) -> Result<S::Written, LinkError> {
        let Some(in_flight) = &mut self.in_flight else {
            return std::future::pending().await;
        };
        let (stream, result) = in_flight.as_mut().await;
        self.in_flight = None;
        self.idle = Some(stream);
        self.start_next();
        result
    }

    /// Waits until all messages have left.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while !self.is_idle() {
            self.next_sent().await?;
        }
        Ok(())
    }

    fn start_next(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(stream) = self.idle.take() else {
            return;
        };
        if let Some(message) = self.waiting.pop_front() {
            self.in_flight = Some(Box::pin(stream.transmit(message)));
        }
    }
}

impl MessageSink for ControlOut<ToAgent> {
    type Message = ToAgent;
    type Written = ();

    async fn transmit(mut self, message: ToAgent) -> (Self, Result<(), LinkError>) {
        let result = self.send(&message).await;
        (self, result)
    }
}

impl MessageSink for PictureOut {
    type Message = EncodedChunk;
    /// Bytes that went to the link.
    type Written = usize;

    async fn transmit(mut self, chunk: EncodedChunk) -> (Self, Result<usize, LinkError>) {
        let mut bytes = 0;
        for (segment, is_incompressible) in segments(&chunk) {
            let sent = if is_incompressible {
                self.send_stored(segment).await
            } else {
                self.send(segment).await
            };
            match sent {
                Ok(sent) => bytes += sent,
                Err(error) => return (self, Err(error)),
            }
        }
        (self, Ok(bytes))
    }
}

/// Cuts a chunk into segments, each with whether it is incompressible. The first segments of a
/// large picture travel, and are freed, while the rest is being compressed.
fn segments(chunk: &EncodedChunk) -> impl Iterator<Item = (&[u8], bool)> {
    let (compressible, incompressible) = chunk.split_at(chunk.incompressible_from);
    let compressible = compressible
        .chunks(MAX_SEGMENT)
        .map(|segment| (segment, false));
    compressible.chain(
        incompressible
            .chunks(MAX_SEGMENT)
            .map(|segment| (segment, true)),
    )
}

impl MessageSink for ClipboardOut {
    type Message = String;
    type Written = ();

    async fn transmit(mut self, message: String) -> (Self, Result<(), LinkError>) {
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

    impl MessageSink for Slow {
        type Message = u32;
        type Written = ();

        async fn transmit(self, message: u32) -> (Self, Result<(), LinkError>) {
            let Ok(()) = self.credit.acquire().await.map(|permit| permit.forget()) else {
                return (self, Err(LinkError::Lost));
            };
            self.arrived.lock().unwrap().push(message);
            (self, Ok(()))
        }
    }

    fn queue(capacity: usize) -> (SendQueue<Slow>, Arc<Semaphore>, Arc<Mutex<Vec<u32>>>) {
        let (credit, arrived) = (Arc::new(Semaphore::new(0)), Arc::default());
        let slow = Slow {
            credit: Arc::clone(&credit),
            arrived: Arc::clone(&arrived),
        };
        (SendQueue::new(slow, capacity), credit, arrived)
    }

    #[test]
    fn a_large_block_goes_in_pieces() {
        let bytes: Vec<u8> = (0..3 * MAX_SEGMENT).map(|at| (at % 251) as u8).collect();
        for incompressible_from in [0, 9, MAX_SEGMENT, MAX_SEGMENT + 9, bytes.len()] {
            let chunk = EncodedChunk {
                bytes: bytes.clone(),
                incompressible_from,
            };
            let (mut compressible, mut incompressible) = (Vec::new(), Vec::new());
            for (segment, is_incompressible) in segments(&chunk) {
                assert!((1..=MAX_SEGMENT).contains(&segment.len()));
                let of = if is_incompressible {
                    &mut incompressible
                } else {
                    &mut compressible
                };
                of.extend_from_slice(segment);
            }
            assert!(
                compressible == bytes[..incompressible_from]
                    && incompressible == bytes[incompressible_from..]
            );
        }
        assert_eq!(segments(&EncodedChunk::default()).count(), 0);
    }

    #[tokio::test]
    async fn messages_leave_in_order_and_wait_without_credit() {
        let (mut queue, credit, arrived) = queue(2);
        assert!(queue.is_idle());
        for message in [1, 2, 3] {
            assert_eq!(queue.push(message), Ok(()));
        }
        assert_eq!(queue.push(4), Err(QueueFull));
        credit.add_permits(3);
        assert_eq!(queue.flush().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1, 2, 3]);
        assert!(queue.is_idle());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let (mut queue, credit, arrived) = queue(9);
        queue.push(1).unwrap();
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = queue.next_sent() => panic!("there is no credit"),
                () = std::future::ready(()) => {}
            }
        }
        credit.add_permits(1);
        assert_eq!(queue.next_sent().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1]);
    }

    #[tokio::test]
    async fn the_newest_takes_the_place_of_what_waits() {
        let (mut queue, credit, arrived) = queue(1);
        for message in [1, 2, 3] {
            queue.replace(message);
        }
        credit.add_permits(9);
        assert_eq!(queue.flush().await, Ok(()));
        assert_eq!(*arrived.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn the_links_end_is_told() {
        let (mut queue, credit, _) = queue(1);
        queue.push(1).unwrap();
        credit.close();
        assert_eq!(queue.flush().await, Err(LinkError::Lost));
    }
}
