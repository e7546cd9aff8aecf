// SPDX-License-Identifier: MPL-2.0

//! The part of AMF0 that RTMP commands are made of, for the scripted peers.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Amf {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Vec<(String, Amf)>),
    Null,
    Undefined,
    /// An ECMA array.
    Array(Vec<(String, Amf)>),
    /// A strict array.
    List(Vec<Amf>),
}

impl Amf {
    pub fn string(value: &str) -> Self {
        Self::String(value.to_owned())
    }

    pub fn object(properties: &[(&str, Self)]) -> Self {
        let properties = properties.iter();
        Self::Object(
            properties
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect(),
        )
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// A property of an object or array.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) | Self::Array(properties) => {
                let found = properties.iter().find(|(name, _)| name == key);
                found.map(|(_, value)| value)
            }
            _ => None,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Number(value) => {
                to.push(0);
                to.extend_from_slice(&value.to_be_bytes());
            }
            Self::Boolean(value) => to.extend_from_slice(&[1, u8::from(*value)]),
            Self::String(value) => {
                to.push(2);
                write_string(value, to);
            }
            Self::Object(properties) => {
                to.push(3);
                write_properties(properties, to);
            }
            Self::Null => to.push(5),
            Self::Undefined => to.push(6),
            Self::Array(properties) => {
                to.push(8);
                to.extend_from_slice(&(properties.len() as u32).to_be_bytes());
                write_properties(properties, to);
            }
            Self::List(values) => {
                to.push(10);
                to.extend_from_slice(&(values.len() as u32).to_be_bytes());
                for value in values {
                    value.write(to);
                }
            }
        }
    }
}

/// Values one after another.
pub fn encode(values: &[Amf]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        value.write(&mut bytes);
    }
    bytes
}

/// All values; `None` where they end early or are of a type that commands do not use.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Amf>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(read(&mut bytes)?);
    }
    Some(values)
}

fn write_string(value: &str, to: &mut Vec<u8>) {
    let length = u16::try_from(value.len()).expect("a short string");
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(value.as_bytes());
}

fn write_properties(properties: &[(String, Amf)], to: &mut Vec<u8>) {
    for (key, value) in properties {
        write_string(key, to);
        value.write(to);
    }
    to.extend_from_slice(&[0, 0, 9]);
}

fn read(bytes: &mut &[u8]) -> Option<Amf> {
    Some(match take::<1>(bytes)?[0] {
        0 => Amf::Number(f64::from_be_bytes(take(bytes)?)),
        1 => Amf::Boolean(take::<1>(bytes)?[0] != 0),
        2 => Amf::String(read_string(bytes)?),
        3 => Amf::Object(read_properties(bytes)?),
        5 => Amf::Null,
        6 => Amf::Undefined,
        8 => {
            take::<4>(bytes)?;
            Amf::Array(read_properties(bytes)?)
        }
        10 => {
            let count = u32::from_be_bytes(take(bytes)?);
            let values: Option<Vec<_>> = (0..count).map(|_| read(bytes)).collect();
            Amf::List(values?)
        }
        _ => return None,
    })
}

fn read_string(bytes: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(take(bytes)?).into();
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(value.to_vec()).ok()
}

fn read_properties(bytes: &mut &[u8]) -> Option<Vec<(String, Amf)>> {
    let mut properties = Vec::new();
    loop {
        let key = read_string(bytes)?;
        if key.is_empty() && bytes.first() == Some(&9) {
            take::<1>(bytes)?;
            return Some(properties);
        }
        properties.push((key, read(bytes)?));
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
