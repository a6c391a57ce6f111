//! JSON bodies: bounded in length and in time, whatever their content type says.

use std::time::Duration;

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Longest body.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// Time-out for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A parsed request body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = to_bytes(request.into_body(), MAX_BODY_BYTES);
        let bytes = tokio::time::timeout(BODY_TIMEOUT, body)
            .await
            .map_err(|_| ApiError::Timeout)?
            // A broken connection ends here too; then nobody reads the answer.
            .map_err(|_| ApiError::TooLarge)?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|_| ApiError::BadRequest)
    }
}
