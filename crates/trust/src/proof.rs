//! Proofs that whoever shows a card holds its key, here and now: one kind for the customer's machine
//! (bound to the TLS channel, so that nobody in the middle can pass it on) and one for the service
//! (bound to the service's origin and its challenge).

use crate::{
    card::{AgentCard, CardError},
    code::Nameplate,
    envelope::message_of_parts,
    keys::AgentKey,
};

const LINK: &str = "etatuki link proof v1";
const SERVICE: &str = "etatuki service proof v1";

/// What a proof to the customer's machine is bound to.
#[derive(Clone, Copy, Debug)]
pub struct LinkBinding<'a> {
    /// What TLS exports for this one connection (RFC 8446 section 7.5), alike at both ends.
    pub exporter: &'a [u8; 32],
    /// The session that was called for.
    pub nameplate: &'a Nameplate,
    /// The agent's endpoint id.
    pub agent: &'a [u8; 32],
    /// The customer's endpoint id.
    pub customer: &'a [u8; 32],
}

impl LinkBinding<'_> {
    fn message(&self, card: &AgentCard) -> Vec<u8> {
        let nameplate = self.nameplate.as_str().as_bytes();
        message_of_parts(
            LINK,
            &[
                self.exporter,
                nameplate,
                self.agent,
                self.customer,
                &card.hash(),
            ],
        )
    }
}

impl AgentKey {
    /// Proves to the customer's machine that this key's holder is at the other end of the connection.
    #[must_use]
    pub fn prove_link(&self, card: &AgentCard, proof: &LinkBinding<'_>) -> [u8; 64] {
        self.sign(&proof.message(card))
    }

    /// Proves to the service at `origin` (`scheme://host:port`, no slash at the end) that this key's
    /// holder got `challenge` from it.
    #[must_use]
    pub fn prove_service(&self, card: &AgentCard, origin: &str, challenge: &[u8; 32]) -> [u8; 64] {
        self.sign(&service_message(card, origin, challenge))
    }
}

impl AgentCard {
    /// Checks [`AgentKey::prove_link`]'s proof. Says nothing about the card itself: ask
    /// [`verify`](Self::verify) first.
    ///
    /// # Errors
    /// [`CardError::BadProof`].
    pub fn verify_link(
        &self,
        proof: &LinkBinding<'_>,
        signature: &[u8; 64],
    ) -> Result<(), CardError> {
        self.check(&proof.message(self), signature)
    }

    /// Checks [`AgentKey::prove_service`]'s proof. Says nothing about the card itself: ask
    /// [`verify`](Self::verify) first.
    ///
    /// # Errors
    /// [`CardError::BadProof`].
    pub fn verify_service(
        &self,
        origin: &str,
        challenge: &[u8; 32],
        signature: &[u8; 64],
    ) -> Result<(), CardError> {
        self.check(&service_message(self, origin, challenge), signature)
    }

    fn check(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), CardError> {
        let key = &self.claims().key;
        if key.is_signed(message, signature) {
            Ok(())
        } else {
            Err(CardError::BadProof)
        }
    }
}

fn service_message(card: &AgentCard, origin: &str, challenge: &[u8; 32]) -> Vec<u8> {
    message_of_parts(SERVICE, &[origin.as_bytes(), challenge, &card.hash()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        card::{
            CardData,
            tests::{agent, card, data, vendor},
        },
        keys::AgentKey,
    };

    const ORIGIN: &str = "https://tuki.example:443";

    fn proof<'a>(nameplate: &'a Nameplate, bytes: &'a [[u8; 32]; 3]) -> LinkBinding<'a> {
        LinkBinding {
            exporter: &bytes[0],
            nameplate,
            agent: &bytes[1],
            customer: &bytes[2],
        }
    }

    #[test]
    fn a_link_proof_is_bound_to_everything_it_names() {
        let (here, there) = ("123456".parse().unwrap(), "123457".parse().unwrap());
        let bytes = [[1; 32], [2; 32], [3; 32]];
        let signature = agent().prove_link(&card(), &proof(&here, &bytes));
        assert_eq!(
            card().verify_link(&proof(&here, &bytes), &signature),
            Ok(())
        );

        let bad = Err(CardError::BadProof);
        assert_eq!(card().verify_link(&proof(&there, &bytes), &signature), bad);
        for place in 0..3 {
            let mut other = bytes;
            other[place][31] ^= 1;
            assert_eq!(card().verify_link(&proof(&here, &other), &signature), bad);
        }
        let swapped = [bytes[0], bytes[2], bytes[1]];
        assert_eq!(card().verify_link(&proof(&here, &swapped), &signature), bad);
        let renewed = AgentCard::issue(
            &vendor(),
            CardData {
                serial: 8,
                ..data()
            },
        )
        .unwrap();
        assert_eq!(renewed.verify_link(&proof(&here, &bytes), &signature), bad);
    }

    #[test]
    fn a_service_proof_is_bound_to_origin_and_challenge() {
        let signature = agent().prove_service(&card(), ORIGIN, &[5; 32]);
        assert_eq!(card().verify_service(ORIGIN, &[5; 32], &signature), Ok(()));
        let bad = Err(CardError::BadProof);
        assert_eq!(card().verify_service(ORIGIN, &[6; 32], &signature), bad);
        assert_eq!(
            card().verify_service("https://tuki.example:444", &[5; 32], &signature),
            bad
        );
    }

    #[test]
    fn somebody_elses_key_proves_nothing() {
        let stranger = AgentKey::from_seed([8; 32]);
        let signature = stranger.prove_service(&card(), ORIGIN, &[5; 32]);
        assert_eq!(
            card().verify_service(ORIGIN, &[5; 32], &signature),
            Err(CardError::BadProof)
        );
        assert_eq!(
            card().verify_service(ORIGIN, &[5; 32], &[0; 64]),
            Err(CardError::BadProof)
        );
    }

    #[test]
    fn one_kind_of_proof_is_no_other_kind() {
        let card = card();
        // The same parts under the other context.
        let signature = agent().sign(&message_of_parts(
            LINK,
            &[ORIGIN.as_bytes(), &[5; 32], &card.hash()],
        ));
        assert_eq!(
            card.verify_service(ORIGIN, &[5; 32], &signature),
            Err(CardError::BadProof)
        );
    }
}
