//! Why an end closes a connection.

/// QUIC's application error code on closing a connection; a stable name goes along as its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// The session is over.
    Ended = 0,
    /// The agent is refused.
    Refused = 1,
    /// The two ends don't know the same code.
    WrongCode = 2,
    /// The other end broke the protocol or exceeded a time-out.
    Violation = 3,
    /// This end hears nothing any more, or sees that the path is gone; the link may be resumed.
    Interrupted = 4,
}
