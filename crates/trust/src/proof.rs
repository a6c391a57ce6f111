//! Proofs that whoever shows a card holds its key, here and now. The proof to the customer's
//! machine is bound to the TLS connection (channel binding, RFC 9266), so that nobody in the middle
//! can forward it. The proof to the service is bound to the service's origin and challenge.

use crate::{
    card::{AgentCard, CardError},
    code::Nameplate,
    envelope::signing_input_of_parts,
    keys::AgentKey,
};

const LINK_CONTEXT: &str = "etatuki link proof v1";
const SERVICE_CONTEXT: &str = "etatuki service proof v1";

/// The facts to which a proof to the customer's machine is bound.
#[derive(Clone, Copy, Debug)]
pub struct LinkBinding<'a> {
    /// The secret exported by TLS for this one connection (RFC 8446, section 7.5), equal at both
    /// ends.
    pub exporter: &'a [u8; 32],
    /// The nameplate of the session.
    pub nameplate: &'a Nameplate,
    /// The agent's endpoint id.
    pub agent: &'a [u8; 32],
    /// The customer's endpoint id.
    pub customer: &'a [u8; 32],
}

impl LinkBinding<'_> {
    fn signing_input(&self, card: &AgentCard) -> Vec<u8> {
        let nameplate = self.nameplate.as_str().as_bytes();
        signing_input_of_parts(
            LINK_CONTEXT,
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
    /// Proves to the customer's machine that this key's holder is at the other end of the
    /// connection. Returns the signature.
    #[must_use]
    pub fn prove_link(&self, card: &AgentCard, binding: &LinkBinding<'_>) -> [u8; 64] {
        self.sign(&binding.signing_input(card))
    }

    /// Proves to the service at `origin` (see [`service_origin`](crate::service_origin)) that this
    /// key's holder got `challenge` from it. Returns the signature.
    #[must_use]
    pub fn prove_service(&self, card: &AgentCard, origin: &str, challenge: &[u8; 32]) -> [u8; 64] {
        self.sign(&service_signing_input(card, origin, challenge))
    }
}

impl AgentCard {
    /// Verifies a proof by [`AgentKey::prove_link`]. The card itself is verified before, by
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`CardError::BadProof`].
    pub fn verify_link(
        &self,
        binding: &LinkBinding<'_>,
        signature: &[u8; 64],
    ) -> Result<(), CardError> {
        self.check_signature(&binding.signing_input(self), signature)
    }

    /// Verifies a proof by [`AgentKey::prove_service`]. The card itself is verified before, by
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`CardError::BadProof`].
    pub fn verify_service(
        &self,
        origin: &str,
        challenge: &[u8; 32],
        signature: &[u8; 64],
    ) -> Result<(), CardError> {
        self.check_signature(&service_signing_input(self, origin, challenge), signature)
    }

    fn check_signature(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), CardError> {
        let key = &self.claims().key;
        if key.is_signature_of(message, signature) {
            Ok(())
        } else {
            Err(CardError::BadProof)
        }
    }
}

fn service_signing_input(card: &AgentCard, origin: &str, challenge: &[u8; 32]) -> Vec<u8> {
    signing_input_of_parts(
        SERVICE_CONTEXT,
        &[origin.as_bytes(), challenge, &card.hash()],
    )
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

    fn binding<'a>(nameplate: &'a Nameplate, bytes: &'a [[u8; 32]; 3]) -> LinkBinding<'a> {
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
        let signature = agent().prove_link(&card(), &binding(&here, &bytes));
        assert_eq!(
            card().verify_link(&binding(&here, &bytes), &signature),
            Ok(())
        );

        let bad = Err(CardError::BadProof);
        assert_eq!(
            card().verify_link(&binding(&there, &bytes), &signature),
            bad
        );
        for part in 0..3 {
            let mut other = bytes;
            other[part][31] ^= 1;
            assert_eq!(card().verify_link(&binding(&here, &other), &signature), bad);
        }
        let swapped = [bytes[0], bytes[2], bytes[1]];
        assert_eq!(
            card().verify_link(&binding(&here, &swapped), &signature),
            bad
        );
        let renewed = AgentCard::issue(
            &vendor(),
            CardData {
                serial: 8,
                ..data()
            },
        )
        .unwrap();
        assert_eq!(
            renewed.verify_link(&binding(&here, &bytes), &signature),
            bad
        );
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
        let signature = agent().sign(&signing_input_of_parts(
            LINK_CONTEXT,
            &[ORIGIN.as_bytes(), &[5; 32], &card.hash()],
        ));
        assert_eq!(
            card.verify_service(ORIGIN, &[5; 32], &signature),
            Err(CardError::BadProof)
        );
    }
}
