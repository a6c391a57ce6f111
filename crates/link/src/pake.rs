//! The password-authenticated key exchange (PAKE): both ends turn the same short secret into the
//! same strong key, and a wrong guess learns only that it is wrong.
//!
//! It stands behind a small trait, so that another PAKE (CPace, once a maintained and audited crate
//! exists) is a change in this file. Today it is SPAKE2 (Abdalla and Pointcheval, 2005) over
//! Ed25519 by RustCrypto's `spake2`. That crate follows a draft that preceded RFC 9382, so it
//! doesn't interoperate with implementations of the RFC. Nor does it promise constant time; one
//! exchange per guess over a network is too little to measure by, and the customer's side allows
//! three guesses per code.

use etatuki_trust::{LinkBinding, Nameplate, Secret};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

/// An end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Agent,
    Customer,
}

impl Role {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Agent => Self::Customer,
            Self::Customer => Self::Agent,
        }
    }
}

/// The two ends of an exchange, and their session. Both ends put them into the exchange, so that a
/// message taken from one link is useless on another.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    /// The agent's endpoint id.
    pub(crate) agent: [u8; 32],
    /// The customer's endpoint id.
    pub(crate) customer: [u8; 32],
    /// The session's nameplate.
    pub(crate) nameplate: Nameplate,
}

impl Parties {
    /// Returns the facts to which the agent's proof on this TLS connection is bound.
    pub(crate) const fn binding<'a>(&'a self, exporter: &'a [u8; 32]) -> LinkBinding<'a> {
        LinkBinding {
            exporter,
            nameplate: &self.nameplate,
            agent: &self.agent,
            customer: &self.customer,
        }
    }
}

/// A run of a PAKE, good for one guess: [`finish`](Pake::finish) consumes it.
pub(crate) trait Pake: Sized + Send {
    /// Starts a run. Returns its state and the message to the other end.
    fn start(role: Role, secret: &Secret, parties: &Parties) -> (Self, Vec<u8>);

    /// Returns the shared key from the other end's message. The two ends get different keys if
    /// their secrets or parties differ. `None` if the message isn't one of this PAKE's.
    fn finish(self, message: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// SPAKE2 over Ed25519 with the agent as side A.
pub(crate) struct Spake2Ed25519(Spake2<Ed25519Group>);

impl Pake for Spake2Ed25519 {
    fn start(role: Role, secret: &Secret, parties: &Parties) -> (Self, Vec<u8>) {
        let password = Password::new(secret.expose());
        let agent = identity(b"agent", &parties.agent, &parties.nameplate);
        let customer = identity(b"customer", &parties.customer, &parties.nameplate);
        let (state, message) = match role {
            Role::Agent => Spake2::start_a(&password, &agent, &customer),
            Role::Customer => Spake2::start_b(&password, &agent, &customer),
        };
        (Self(state), message)
    }

    fn finish(self, message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.0.finish(message).ok().map(Zeroizing::new)
    }
}

/// Returns the identity of an end. All parts but the last have fixed lengths, so no two identities
/// are spelt alike.
fn identity(role: &[u8], endpoint: &[u8; 32], nameplate: &Nameplate) -> Identity {
    Identity::new(
        &[
            b"etatuki/1 ",
            role,
            b" ",
            endpoint,
            nameplate.as_str().as_bytes(),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use etatuki_trust::CodeForm;

    use super::*;

    fn parties() -> Parties {
        let nameplate = Nameplate::new(CodeForm::SingleCode, "123456").unwrap();
        Parties {
            agent: [1; 32],
            customer: [2; 32],
            nameplate,
        }
    }

    fn secret(number: u8) -> Secret {
        Secret::from_random(CodeForm::SingleCode, [number, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Returns whether the two ends get the same key.
    fn agree(agent: (&Secret, &Parties), customer: (&Secret, &Parties)) -> bool {
        let (ours, to_customer) = Spake2Ed25519::start(Role::Agent, agent.0, agent.1);
        let (theirs, to_agent) = Spake2Ed25519::start(Role::Customer, customer.0, customer.1);
        ours.finish(&to_agent).unwrap() == theirs.finish(&to_customer).unwrap()
    }

    #[test]
    fn the_same_secret_and_parties_give_the_same_key() {
        assert!(agree((&secret(1), &parties()), (&secret(1), &parties())));
        assert!(!agree((&secret(1), &parties()), (&secret(2), &parties())));
    }

    #[test]
    fn every_party_is_in_the_key() {
        let other_nameplate = Nameplate::new(CodeForm::SingleCode, "123457").unwrap();
        for other in [
            Parties {
                agent: [3; 32],
                ..parties()
            },
            Parties {
                customer: [3; 32],
                ..parties()
            },
            Parties {
                nameplate: other_nameplate,
                ..parties()
            },
        ] {
            assert!(!agree((&secret(1), &parties()), (&secret(1), &other)));
        }
    }

    #[test]
    fn a_message_that_is_none_is_refused() {
        let (_, reflected) = Spake2Ed25519::start(Role::Agent, &secret(1), &parties());
        for message in [
            &b""[..],
            b"B",
            &[0x42; 33],
            &[0xff; 33],
            &[0x42; 34],
            &reflected,
        ] {
            let (state, _) = Spake2Ed25519::start(Role::Agent, &secret(1), &parties());
            // 33 times 0x42 may or may not be a point; it must not be more than a wrong key.
            if let Some(key) = state.finish(message) {
                assert_eq!(message, &[0x42; 33]);
                assert_eq!(key.len(), 32);
            }
        }
    }
}
