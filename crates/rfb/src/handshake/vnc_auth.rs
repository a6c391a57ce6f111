//! VNC authentication: what a challenge becomes under a password (RFC 6143 section 7.2.2).
//!
//! DES with 8 characters is weak by today's measure. It stands here only between a viewer and a
//! console on the same machine, with a password that is used once.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// The challenge's two blocks, each enciphered under the password's first 8 bytes, padded with
/// zeros. Every byte of the key has its bits in reverse, as all implementations do.
pub(super) fn response(password: &[u8], challenge: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 8]);
    for (place, byte) in key.iter_mut().zip(password) {
        *place = byte.reverse_bits();
    }
    let cipher = Des::new(&(*key).into());
    let mut response = Zeroizing::new(*challenge);
    for block in response.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    response
}
