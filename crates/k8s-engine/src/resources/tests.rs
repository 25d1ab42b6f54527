mod assets;
mod bounds;
mod jobs;
