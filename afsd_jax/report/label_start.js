// Starts the labelling page, after all its other scripts.

const page = new LabelPage();
page.start().catch((error) => page.notice(`The labels cannot be read: ${error.message}.`));
