//! VNC authentication (RFC 6143 section 7.2.2): the response to a challenge.
//!
//! DES with 8 characters is weak by today's measure. It is used only between a viewer and a console
//! on the same machine, with a password that is used once.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// Encrypts the challenge's two blocks with DES under the password's first 8 bytes, padded with
/// zeros. Every byte of the key has its bits reversed, as in all implementations.
pub(super) fn challenge_response(password: &[u8], challenge: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 8]);
    for (key_byte, byte) in key.iter_mut().zip(password) {
        *key_byte = byte.reverse_bits();
    }
    let cipher = Des::new(&(*key).into());
    let mut response = Zeroizing::new(*challenge);
    for block in response.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    response
}
