//! File objects: how an asset says where its files are.
