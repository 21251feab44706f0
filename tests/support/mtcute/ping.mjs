// node ping.mjs LINK [DC]: asks for a resPQ through the proxy of the link, by mtcute's own transport, codec and TL.
// Prints the milliseconds that it took; else says why not on standard error, and ends with 1.
import { randomBytes } from 'node:crypto'

import { FramedReader, FramedWriter } from '@fuman/io'
import { proxyTransportFromUrl } from '@mtcute/node'
import { LogManager } from '@mtcute/core/utils.js'
import { TlBinaryReader, TlBinaryWriter } from '@mtcute/tl-runtime'

// Not among what these packages export; of the same pinned version.
import { __tlReaderMap } from './node_modules/@mtcute/core/tl/binary/reader.js'
import { __tlWriterMap } from './node_modules/@mtcute/core/tl/binary/writer.js'
import { NodeCryptoProvider } from './node_modules/@mtcute/node/utils/crypto.js'
import { NodePlatform } from './node_modules/@mtcute/node/utils/platform.js'

const PATIENCE = 60_000

async function ping(link, dc) {
    const crypto = new NodeCryptoProvider()
    await crypto.initialize?.()
    const log = new LogManager('ping', new NodePlatform())
    log.level = 0
    const transport = proxyTransportFromUrl(link.replace('tg://proxy', 'https://t.me/proxy'))
    transport.setup?.(crypto, log)
    const place = { id: dc, ipAddress: '149.154.167.51', port: 443 }
    const codec = transport.packetCodec(place)
    codec.setup?.(crypto, log)
    const began = performance.now()
    const connection = await transport.connect(place)
    try {
        await connection.write(await codec.tag())
        const nonce = new Uint8Array(randomBytes(16))
        const body = TlBinaryWriter.serializeObject(__tlWriterMap, { _: 'mt_req_pq_multi', nonce })
        const message = new DataView(new ArrayBuffer(20 + body.length))
        message.setBigInt64(8, BigInt(Math.floor(Date.now() / 1000)) << 32n, true)
        message.setInt32(16, body.length, true)
        new Uint8Array(message.buffer).set(body, 20)
        await new FramedWriter(connection, codec).write(new Uint8Array(message.buffer))
        const answer = await new FramedReader(connection, codec).read()
        if (!answer) throw new Error('the connection ended instead of a resPQ')
        const told = TlBinaryReader.deserializeObject(__tlReaderMap, answer, 20)
        if (told._ !== 'mt_resPQ' || Buffer.compare(told.nonce, nonce)) throw new Error(`not the resPQ asked for: ${told._}`)
        return performance.now() - began
    } finally {
        connection.close()
    }
}

const [link, dc = '2'] = process.argv.slice(2)
const late = setTimeout(() => fail(new Error(`no answer within ${PATIENCE / 1000} s`)), PATIENCE)

function fail(error) {
    console.error(`mtcute: ${error.message || error}`)
    process.exit(1)
}

ping(link, Number(dc)).then((took) => {
    clearTimeout(late)
    console.log(took.toFixed(1))
    process.exit(0)
}, fail)
