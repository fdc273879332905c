import { connect } from 'node:net';

/** Says something to a configuration socket as it is. @returns the answer to its end, `errno` included */
export async function uapi(name: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(`/var/run/wireguard/${name}.sock`);
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
      if (/errno=-?\d+\n\n$/.test(answer)) socket.end();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
    socket.write(request);
  });
}
