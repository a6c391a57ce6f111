//! Messages to bytes, appended to a `Vec<u8>`: what a client sends and what a server sends.

pub mod client;
pub mod server;

/// Flags of a Fence message.
pub mod fence_flags {
    /// Everything before the fence is done before it is answered.
    pub const BLOCK_BEFORE: u32 = 1;
    /// Nothing after the fence is begun before it is answered.
    pub const BLOCK_AFTER: u32 = 2;
    /// The message after the fence takes effect exactly at the answer.
    pub const SYNC_NEXT: u32 = 4;
    /// Set in a question, clear in an answer.
    pub const REQUEST: u32 = 1 << 31;
    /// The flags that we understand, without [`REQUEST`].
    pub const KNOWN: u32 = BLOCK_BEFORE | BLOCK_AFTER | SYNC_NEXT;
}
