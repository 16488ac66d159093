//! Values in JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{Call, Client, CreateOptions, Created, Error, Stat};

/// Why a typed value cannot be had.
#[derive(Debug, Error)]
pub enum TypedError {
    /// The call failed.
    #[error(transparent)]
    Client(#[from] Error),
    /// The data is not such a value, or the value has no form in JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Client {
    /// A znode's data as a value, and its Stat.
    ///
    /// # Errors
    ///
    /// As [`Client::get`], or that the data is not JSON of such a value.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Stat), TypedError> {
        let (data, stat) = self.get(path).await?;
        Ok((serde_json::from_slice(&data)?, stat))
    }

    /// Replaces a znode's data by a value.
    ///
    /// # Errors
    ///
    /// As [`Client::set`], or that the value has no form in JSON.
    pub async fn set_json<T: Serialize + Sync>(
        &self,
        path: &str,
        value: &T,
        version: Option<i32>,
    ) -> Result<Stat, TypedError> {
        let call: Call<Stat> = self.set(path, serde_json::to_vec(value)?, version);
        Ok(call.await?)
    }

    /// Creates a znode with a value.
    ///
    /// # Errors
    ///
    /// As [`Client::create`], or that the value has no form in JSON.
    pub async fn create_json<T: Serialize + Sync>(
        &self,
        path: &str,
        value: &T,
        options: impl Into<CreateOptions>,
    ) -> Result<Created, TypedError> {
        let call: Call<Created> = self.create(path, serde_json::to_vec(value)?, options);
        Ok(call.await?)
    }
}
