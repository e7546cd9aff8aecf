// SPDX-License-Identifier: MPL-2.0

//! What RTMPT and RTMPE are measured with: a meter on the way, ffmpeg at its own pace, and RC4 alone.

pub(super) mod ffmpeg;
pub(super) mod meter;
pub(super) mod rc4;
