// What goes wrong, told on the standard error.

/**
 * Writes one message. Parts of it may come from images, registries and containers: what could steer a
 * terminal is written out instead.
 */
export function complain(stream: Pick<NodeJS.WriteStream, "write">, message: string): void {
  const visible = message.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  stream.write(`berth: ${visible}\n`);
}
